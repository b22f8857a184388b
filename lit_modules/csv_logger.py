"""metrics.csv of a run, which a resumed run continues and cuts back to its checkpoint."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from assemble.atomic import write_whole


class CsvLogger(CSVLogger):
    """Lightning's, except that a resumed run adds to its metrics.csv, where Lightning would delete it."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made when it is first needed."""
        if self._experiment is None:
            self._experiment = _Appending(self.log_dir)
        return self._experiment

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        """Forget what a run that goes on from a checkpoint of ``step`` optimizer steps will say again.

        A damaged file is put aside as ``metrics.csv.damaged``, and goes on with those of its rows that are whole.
        """
        path = Path(self.log_dir, _Appending.NAME_METRICS_FILE)
        if not path.is_file():
            return
        rows, damaged = _read(path)
        if damaged:
            aside = path.with_name(f"{path.name}.damaged")
            shutil.copyfile(path, aside)
            print(f"{path} is damaged: put aside as {aside.name}, the rows that are whole are kept", file=sys.stderr)
        kept = [row for row in rows if row is not None and not _is_tested(row) and int(row["step"]) <= step]
        if not kept:
            path.unlink()
        elif len(kept) < len(rows):
            write_whole(path, _lines(list(kept[0]), kept))


def _read(path: Path) -> tuple[list[dict[str, str] | None], bool]:
    """Read the rows, None in the place of one that is not whole.

    Returns also whether there is more amiss than a last row which a run that was killed has half written.
    """
    try:
        names, *lines = csv.reader(path.read_bytes().decode(errors="replace").splitlines())
    except (csv.Error, ValueError):  # ValueError: it is empty
        return [], True
    if "step" not in names or len(set(names)) < len(names):
        return [], True
    rows = [_row(names, line) for line in lines]
    return rows, None in rows[:-1]


def _row(names: Sequence[str], line: Sequence[str]) -> dict[str, str] | None:
    """Return the row of a line; None where it is not one of numbers for these names."""
    try:
        row = dict(zip(names, line, strict=True))
        int(row["step"])
        for value in filter(None, line):
            float(value)
    except ValueError:
        return None
    return row


def _is_tested(row: Mapping[str, str]) -> bool:
    """Return True for test scores, which come after a run's last checkpoint."""
    return any(value for name, value in row.items() if name.startswith("test/"))


def _lines(names: Sequence[str], rows: Iterable[Mapping[str, Any]], *, head: bool = True) -> str:
    """Return rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class _Appending(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Take up the columns that are there; Lightning calls this before anything is written."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def save(self) -> None:
        """Add what was logged since the last time. Where that fails, on a full disk, the file stays as it was.

        Raises:
            OSError: it cannot be written; names the file.
        """
        if not self.metrics:
            return
        path = Path(self.metrics_file_path)
        names = sorted({*self.metrics_keys, *(name for row in self.metrics for name in row)})
        if names == self.metrics_keys and path.is_file():
            _append(path, _lines(names, self.metrics, head=False))
        else:
            before: list[dict[str, str]] = []
            if path.is_file():
                with path.open(newline="", encoding="utf-8") as file:
                    before = list(csv.DictReader(file))
            write_whole(path, _lines(names, [*before, *self.metrics]))
        self.metrics_keys, self.metrics = names, []


def _append(path: Path, text: str) -> None:
    """Add to a file all of a text, or nothing."""
    size = path.stat().st_size
    try:
        with path.open("a", newline="", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        os.truncate(path, size)
        raise OSError(error.errno, error.strerror, str(path)) from error
