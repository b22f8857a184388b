"""metrics.csv of a run, which a resumed run continues and cuts back to its checkpoint."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
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
        """Forget what a run that goes on from a checkpoint of ``step`` optimizer steps will say again."""
        path = Path(self.log_dir, _Appending.NAME_METRICS_FILE)
        if not path.is_file():
            return
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        kept = [row for row in rows if _is_before(row, step)]
        if not kept:
            path.unlink()
        elif len(kept) < len(rows):
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, reader.fieldnames or [])
            writer.writeheader()
            writer.writerows(kept)
            write_whole(path, text.getvalue())


def _is_before(row: Mapping[str, str | None], step: int) -> bool:
    """Return True where a row was written whole and before a checkpoint; test scores come after a run's last one."""
    torn = None in row.values()
    tested = any(value for name, value in row.items() if name.startswith("test/"))
    return not torn and not tested and int(row["step"] or 0) <= step


class _Appending(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Take up the columns that are there; Lightning calls this before anything is written."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.metrics_keys = next(csv.reader(file), [])
