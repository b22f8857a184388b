"""By which code a run was made, and how anybody has that code again."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from assemble.runs.code import read_code

Git = Callable[..., None]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A repository with one commit."""

    def run(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    run("init")
    for name in ("file", "README.md"):
        (tmp_path / name).write_text("1\n")
        run("add", name)
    run("commit", "-m", "one")
    return run


def test_outside_git(tmp_path: Path) -> None:
    assert read_code(tmp_path).commit is None


def test_of_somebody_elses_repository_nothing_is_told(git: Git, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    assert read_code(tmp_path / "inside").commit is None


def test_a_clean_tree(git: Git, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("not tracked, and nowhere that plug-ins are looked for")
    (tmp_path / "README.md").write_text("words")  # in no run
    code = read_code(tmp_path)
    assert code.commit is not None
    assert len(code.commit) == 40
    code.keep(tmp_path)
    assert code.diff_name is None
    assert not list(tmp_path.glob("*.diff"))


def test_the_difference_makes_the_same_code_again(git: Git, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("2\n")
    (tmp_path / "tricks").mkdir()
    (tmp_path / "tricks" / "mine.py").write_text("new\n")
    (tmp_path / "tricks" / "weights").write_bytes(bytes(range(256)))
    code = read_code(tmp_path)
    assert code.commit is not None
    assert code.commit.endswith("-dirty")
    code.keep(tmp_path)
    assert code.diff_name is not None
    git("checkout", "file")
    for name in ("mine.py", "weights"):
        (tmp_path / "tricks" / name).unlink()
    git("apply", code.diff_name)
    assert (tmp_path / "file").read_text() == "2\n"
    assert (tmp_path / "tricks" / "mine.py").read_text() == "new\n"
    assert (tmp_path / "tricks" / "weights").read_bytes() == bytes(range(256))
