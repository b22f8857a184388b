"""The loggers of a run, made from the config group ``logger``; several may be chosen at once."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from core.errors import UserError
from core.files import whole_file
from core.wandb_key import offline

if TYPE_CHECKING:
    from core.runs import Run

EXTRAS = {"tensorboard", "mlflow"}
"""Optional dependencies of this project that carry a logger's name."""


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
            with whole_file(path) as file:
                file.write(text.getvalue().encode())


def _is_before(row: Mapping[str, str | None], step: int) -> bool:
    """Was a row written whole, and before a checkpoint? What a run is tested for comes after its last one."""
    torn = None in row.values()
    tested = any(value for name, value in row.items() if name.startswith("test/"))
    return not torn and not tested and int(row["step"] or 0) <= step


class _Appending(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Called before anything is written: take up the columns that are there."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.metrics_keys = next(csv.reader(file), [])


def build_loggers(config: Mapping[str, Any], run: Run, tags: Sequence[str], group: str | None) -> list[Logger]:
    """The loggers chosen in a resolved configuration, writing into the run's directory.

    Raises:
        UserError: a logger's package is missing, or it does not know a setting.
    """
    return [_build(name, dict(given or {}), run, tags, group) for name, given in config["logger"].items()]


def log_result(loggers: Sequence[Logger], result: Mapping[str, Any]) -> None:
    """Put result.json into the summary of a W&B run: there is one run for each job, and these are its columns."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update({"result": dict(result)})


def log_later_result(run: Run, result: Mapping[str, Any]) -> None:
    """`log_result` for a run whose loggers are closed: its W&B run is taken up again, by its id."""
    chosen = {name: given for name, given in run.config["logger"].items() if name == "wandb"}
    loggers = build_loggers({"logger": chosen}, run, list(run.config["tricks"]), run.recipe)
    exit_code = 1
    try:
        log_result(loggers, result)
        exit_code = 0
    finally:
        close_loggers(loggers, exit_code)


def close_loggers(loggers: Sequence[Logger], exit_code: int) -> None:
    """Close them with the run's exit code, so that a crashed run is not shown as finished. Never raises."""
    for logger in loggers:
        try:
            if isinstance(logger, WandbLogger):
                if logger._experiment is not None:
                    logger._experiment.finish(exit_code=exit_code)
            else:
                logger.finalize("success" if exit_code == 0 else "failed")
        except Exception as error:  # the run's own outcome matters more
            print(f"{type(logger).__name__} could not be closed: {error}", file=sys.stderr)


def _build(name: str, given: dict[str, Any], run: Run, tags: Sequence[str], group: str | None) -> Logger:
    """One logger: its settings from the config win over what the run would set."""
    target = given.pop("_target_", None)
    if not target:
        raise UserError(f"logger '{name}' has no _target_, so it is unknown which logger it is")
    arguments = _of_run(name, run, tags, group) | {key: value for key, value in given.items() if value is not None}
    module, _, kind = str(target).rpartition(".")
    try:
        return getattr(import_module(module), kind)(**arguments)
    except ModuleNotFoundError as error:
        package = f"-e '.[{name}]'" if name in EXTRAS else name
        raise UserError(f"logger {name} needs the package {name}: pip install {package}") from error
    except (TypeError, AttributeError, ImportError, ValueError) as error:
        raise UserError(f"logger {name}: {error}") from error


def _of_run(name: str, run: Run, tags: Sequence[str], group: str | None) -> dict[str, Any]:
    """What a known logger is told about the run."""
    directory = str(run.directory)
    if name == "csv":
        return {"save_dir": directory, "name": "", "version": ""}
    if name == "tensorboard":
        return {"save_dir": directory, "name": "tensorboard", "version": ""}
    if name == "mlflow":
        same = {"run_name": run.run_id, "tags": {"tricks": ",".join(tags), "group": group or ""}}
        if "MLFLOW_TRACKING_URI" in os.environ:
            return same
        runs = run.directory.parent.resolve()  # MLflow's own default, a folder of files, is no longer supported by it
        return {**same, "tracking_uri": f"sqlite:///{runs}/mlflow.db", "artifact_location": f"{runs}/mlartifacts"}
    if name == "wandb":
        same = {"save_dir": directory, "id": run.run_id, "name": run.run_id, "config": run.config}
        return {**same, "group": group, "tags": list(tags), "job_type": "train", **offline()}
    return {}
