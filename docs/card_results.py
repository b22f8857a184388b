"""What was measured of a trick in this repository: gains paired by seed from docs/results, and the log's rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from assemble.reporting.gains import TrickGain
from assemble.reporting.read import Run
from assemble.reporting.report import make_report
from docs.tables import DOCS

ROOT = DOCS.parent
LOGS = (ROOT / "LOG.md", *sorted((DOCS / "log").glob("*.md"), reverse=True))


@dataclass(frozen=True)
class Measured:
    """A trick's gain in one folder of docs/results."""

    study: str
    """The folder's name; the page of that name tells how it was run."""
    run: Run
    """One of its runs."""
    gain: TrickGain
    """In top-1, in points."""

    @property
    def pays(self) -> bool:
        """Is it told apart from nothing, and better?"""
        found = self.gain.gain
        return bool(found.told_apart) and found.mean > 0

    def __str__(self) -> str:
        """Return the gain with n and interval, and what it was measured on, as Markdown."""
        found, result = self.gain.gain, self.run.result
        interval = f" [{found.interval[0]:+.2f}, {found.interval[1]:+.2f}]" if found.interval else ""
        page = f"[{self.study}](../{self.study}.md)" if (DOCS / f"{self.study}.md").is_file() else self.study
        return (
            f"**{found.mean:+.2f}**{interval} points of top-1, n = {found.n} seeds, {self.gain.context}: "
            f"{result['model']}, {result['epochs']} epochs, {page}"
        )


@cache
def measured() -> list[Measured]:
    """Return the gains of all studies in docs/results, by the report's own arithmetic."""
    found: list[Measured] = []
    for folder in sorted(path for path in (DOCS / "results").iterdir() if path.is_dir()):
        report = make_report([folder])
        for table in report.tables:
            gains = report.gains[table.title]
            found += [Measured(folder.name, table.rows[0].runs[0], gain) for gain in gains]
    return found


def of(trick: str) -> list[Measured]:
    """Return what was measured of one trick."""
    return [each for each in measured() if each.gain.trick == trick]


def logged(trick: str) -> Iterator[str]:
    """Yield, as a line of Markdown, each table row of the logs that is the trick's, and the entry it stands in."""
    for file in LOGS:
        heading, head = "", list[str]()
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                heading, head = line.lstrip("# "), []
            elif not line.startswith("|"):
                head = []
            else:
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
                if not head:
                    head = cells
                elif cells[0].strip("`+ ") == trick and len(cells) == len(head):
                    path = file.relative_to(ROOT).as_posix()
                    said = "; ".join(f"{name} {cell}" for name, cell in zip(head[1:], cells[1:], strict=True) if cell)
                    yield f"[{heading}](../../{path}#{anchor(heading)}): {said}"


def entries(trick: str, title: str) -> Iterator[str]:
    """Yield links to the entries of the logs whose headings name the trick, by its name or title."""
    names = re.compile(rf"\b({re.escape(trick)}|{re.escape(title)})\b", re.IGNORECASE)
    for file in LOGS:
        for heading in re.findall(r"^## (.*)", file.read_text(encoding="utf-8"), re.MULTILINE):
            if names.search(heading):
                yield f"[{heading}](../../{file.relative_to(ROOT).as_posix()}#{anchor(heading)})"


def anchor(heading: str) -> str:
    """Return what GitHub, and our site, call a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
