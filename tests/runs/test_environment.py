"""What result.json says about the machine and the code."""

import json
import subprocess
from pathlib import Path

from assemble.runs.environment import _git_commit, describe_environment


def test_environment() -> None:
    environment = describe_environment()
    assert set(environment["versions"]) == {"python", "torch", "pytorch_lightning", "timm", "hydra"}
    assert all(environment["versions"].values())
    assert environment["hardware"]["cpu"]
    assert environment["hardware"]["cpu_count"] >= 1
    json.dumps(environment)


def test_git_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert _git_commit(tmp_path) is None
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    commit = _git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "other").write_text("not tracked")
    assert _git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert _git_commit(tmp_path) == f"{commit}-dirty"
    (tmp_path / "inside").mkdir()
    assert _git_commit(tmp_path / "inside") is None  # somebody else's repository
