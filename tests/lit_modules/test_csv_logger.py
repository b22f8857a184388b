"""metrics.csv: added to and cut back, whatever became of it, and never lost to a full disk."""

from __future__ import annotations

import errno
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from lit_modules import csv_logger
from lit_modules.csv_logger import CsvLogger

HEAD = "epoch,step,val/top1\n"
ROWS = ["0,1,10.0\n", "0,2,20.0\n", "0,3,30.0\n"]


def go_on(folder: Path, content: bytes, step: int = 2) -> str:
    path = folder / "metrics.csv"
    path.write_bytes(content)
    CsvLogger(str(folder), name="", version="").go_on_from(step)
    return path.read_text().replace("\r\n", "\n") if path.exists() else ""


def test_it_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    assert go_on(tmp_path, "".join([HEAD, *ROWS]).encode()) == HEAD + ROWS[0] + ROWS[1]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_half_written_last_row_is_no_damage(tmp_path: Path) -> None:
    assert go_on(tmp_path, "".join([HEAD, *ROWS[:2], "0,2"]).encode()) == HEAD + ROWS[0] + ROWS[1]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (HEAD + ROWS[0] + "0,x,20.0\n" + ROWS[1], HEAD + ROWS[0] + ROWS[1]),
        (HEAD + ROWS[0] + "0,2,2\xe9.0\n" + ROWS[1], HEAD + ROWS[0] + ROWS[1]),
        (HEAD + ROWS[0] + "0,2,20.0,1\n" + ROWS[1], HEAD + ROWS[0] + ROWS[1]),
        (HEAD + ROWS[0] + "0,\0,20.0\n" + ROWS[1], HEAD + ROWS[0] + ROWS[1]),
        (HEAD.replace("step", "stop") + ROWS[0], ""),
        (HEAD.replace("epoch", "step") + ROWS[0], ""),
        ("\x89PNG\r\n\x1a\n\0\0", ""),
        ("", ""),
    ],
    ids=range(8),
)
def test_what_is_damaged_is_put_aside(tmp_path: Path, capsys: Any, content: str, kept: str) -> None:
    assert go_on(tmp_path, content.encode("latin-1")) == kept
    assert (tmp_path / "metrics.csv.damaged").read_bytes() == content.encode("latin-1")
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'metrics.csv'} is damaged: put aside as metrics.csv.damaged" in line


class Full:
    """A file on a full disk, which takes half of what is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, text: str) -> None:
        with FileIO(self.path, "a") as file:
            file.write(text[: len(text) // 2].encode())
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where rows are added, nor where a new column has the whole file written anew."""
    logger = CsvLogger(str(tmp_path), name="", version="")
    path = tmp_path / "metrics.csv"
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()
    before = path.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *_, **__: Full(path))
        logger.log_metrics({"loss": 2.0}, 1)
        with pytest.raises(OSError, match=r"No space left.*metrics\.csv"):
            logger.save()
    assert path.read_text() == before
    with monkeypatch.context() as patch:

        def full(path: Path, content: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        patch.setattr(csv_logger, "write_whole", full)
        logger.log_metrics({"top1": 3.0}, 2)
        with pytest.raises(OSError, match=r"No space left.*metrics\.csv"):
            logger.save()
    assert path.read_text() == before
    logger.save()  # there is room again
    assert path.read_text().replace("\r\n", "\n") == "loss,step,top1\n1.0,0,\n2.0,1,\n,2,3.0\n"
