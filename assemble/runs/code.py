"""By which code a run is made: the project's commit, and what the code differs from it."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assemble.atomic import write_whole
from assemble.paths import ROOT

PLUGGED = ("tricks", "conf", "recipes")
"""Folders of which files that git does not know yet count as well: they are found by being there."""
NO_CODE = ("docs", "tests", "*.md")
"""What may differ without any run being another one."""
LARGEST = 20 << 20
"""Bytes of a difference that are kept; a larger one is known by its digest alone."""


@dataclass(frozen=True)
class Code:
    """The code of the project as it lies in its folder."""

    commit: str | None = None
    """Forty hex digits, with ``-dirty`` where the code differs from that commit; None outside git."""
    diff: bytes = b""
    """The difference from the commit as ``git apply`` takes it, with the new files of `PLUGGED`."""

    @property
    def diff_name(self) -> str | None:
        """The name under which `keep` writes the difference; the same difference has the same name."""
        return f"code-{hashlib.sha256(self.diff).hexdigest()[:8]}.diff" if self.diff else None

    def keep(self, directory: Path) -> None:
        """Write the difference, if there is one, beside a run."""
        if self.diff_name:
            content = self.diff if len(self.diff) <= LARGEST else b"too large to be kept\n"
            write_whole(directory / self.diff_name, content)


def read_code(root: Path = ROOT) -> Code:
    """Ask git for the commit of the project in ``root`` and for the difference from it."""

    def git(*arguments: str, codes: tuple[int, ...] = (0,)) -> bytes:
        command = ["git", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        if done.returncode not in codes:
            raise subprocess.CalledProcessError(done.returncode, command)
        return done.stdout

    try:
        # Installed into an environment inside somebody's repository, the commit would be theirs.
        if Path(git("rev-parse", "--show-toplevel").decode().strip()).resolve() != root.resolve():
            return Code()
        commit = git("rev-parse", "HEAD").decode().strip()
        code = [".", *(f":(exclude){name}" for name in NO_CODE)]
        parts = [git("diff", "--binary", "--no-ext-diff", "--no-color", "HEAD", "--", *code)]
        for name in git("ls-files", "-z", "--others", "--exclude-standard", *PLUGGED).decode().split("\0"):
            if name:  # git says by 1 that the file and nothing differ
                parts.append(git("diff", "--binary", "--no-color", "--no-index", "/dev/null", name, codes=(0, 1)))
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return Code()
    diff = b"".join(parts)
    return Code(commit + ("-dirty" if diff else ""), diff)
