"""The loggers of a run, made from the config group ``logger``; several may be chosen at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from assemble.errors import UserError
from assemble.paths import MLFLOW_FILES
from assemble.runs.identity import repetition
from assemble.runs.wandb_key import offline
from lit_modules.trackers import GoesOn, MLflow, TakesResult

if TYPE_CHECKING:
    from assemble.runs.directory import Run

EXTRAS = {"tensorboard", "mlflow"}
"""Optional dependencies of this project that carry a logger's name."""


def build_loggers(chosen: Mapping[str, Any], run: Run, tags: Sequence[str], group: str | None) -> list[Logger]:
    """Build the loggers of the config group ``logger``, writing into the run's directory.

    Raises:
        UserError: a logger's package is missing, or it does not know a setting.
    """
    return [_build(name, dict(given or {}), run, tags, group) for name, given in chosen.items()]


def log_config(loggers: Sequence[Logger], run: Run) -> None:
    """Give the whole configuration to the loggers as hyper-parameters.

    Not to metrics.csv, beside which it lies, nor to W&B, whose run began with it.
    """
    for logger in loggers:
        if not isinstance(logger, CSVLogger | WandbLogger):
            logger.log_hyperparams(hyperparameters(run))


def hyperparameters(run: Run) -> dict[str, Any]:
    """Return the configuration with what repetitions of it share and runs of other ones do not, and without secrets."""
    return {**run.config, "recipe": run.recipe, "config_hash": run.config_hash}


def log_result(loggers: Sequence[Logger], run: Run, result: Mapping[str, Any]) -> None:
    """Give result.json to the trackers, and config.yaml with it."""
    files = [path for name in ("result.json", "config.yaml") if (path := run.directory / name).is_file()]
    for logger in loggers:
        if isinstance(logger, TakesResult):
            logger.log_result(result, files)


def log_later_result(chosen: Mapping[str, Any], run: Run, result: Mapping[str, Any]) -> None:
    """Call `log_result` for a run whose loggers are closed: its W&B and MLflow runs are taken up again."""
    chosen = {name: given for name, given in chosen.items() if name in {"wandb", "mlflow"}}
    loggers = build_loggers(chosen, run, list(run.config["tricks"]), run.recipe)
    exit_code = 1
    try:
        for logger in loggers:
            if isinstance(logger, GoesOn):
                logger.go_on_from(0)
        log_config(loggers, run)
        log_result(loggers, run, result)
        exit_code = 0
    finally:
        close_loggers(loggers, exit_code)


def close_loggers(loggers: Sequence[Logger], exit_code: int) -> None:
    """Close them with the run's exit code, so that a crashed run is not shown as finished. Never raises.

    Of a run that ends by an error only that is told: what made it end may well keep its loggers from closing.
    """
    for logger in loggers:
        try:
            if isinstance(logger, WandbLogger):
                if logger._experiment is not None:
                    logger._experiment.finish(exit_code=exit_code)
            elif isinstance(logger, MLflow):
                logger.end("success" if exit_code == 0 else "failed")
            else:
                logger.finalize("success" if exit_code == 0 else "failed")
        except Exception as error:  # the run's own outcome matters more
            if exit_code == 0:
                print(f"{type(logger).__name__} could not be closed: {error}", file=sys.stderr)


def _build(name: str, given: dict[str, Any], run: Run, tags: Sequence[str], group: str | None) -> Logger:
    """Build one logger: its settings from the config win over what the run would set."""
    target = given.pop("_target_", None)
    if not target:
        raise UserError(f"logger '{name}' has no _target_, so it is unknown which logger it is")
    arguments = _of_run(name, run, tags, group) | {key: value for key, value in given.items() if value is not None}
    module, _, kind = str(target).rpartition(".")
    try:
        made = getattr(import_module(module), kind)
        if not (isinstance(made, type) and issubclass(made, Logger)):  # whoever writes a recipe may not run anything
            raise UserError(
                f"logger {name}: {target} is no logger of Lightning's: name a subclass of "
                "pytorch_lightning.loggers.Logger"
            )
        return made(**arguments)
    except ModuleNotFoundError as error:
        package = f"-e '.[{name}]'" if name in EXTRAS else name
        raise UserError(f"logger {name} needs the package {name}: pip install {package}") from error
    except (TypeError, AttributeError, ImportError, ValueError) as error:
        raise UserError(f"logger {name}: {error}") from error


def _without_seed(run: Run) -> str:
    """Return what the names of a configuration's runs share."""
    return run.run_id.replace(f"-{repetition(run.config)}-", "-")


def _of_run(name: str, run: Run, tags: Sequence[str], group: str | None) -> dict[str, Any]:
    """Return what a known logger is told about the run."""
    directory = str(run.directory)
    if name == "csv":
        return {"save_dir": directory, "name": "", "version": ""}
    if name == "tensorboard":
        return {"save_dir": directory, "name": "tensorboard", "version": ""}
    if name == "mlflow":
        tagged = {"tricks": ",".join(tags), "group": group or "", "config_hash": run.config_hash}
        same = {"run_file": f"{directory}/mlflow_run", "run_name": run.run_id, "tags": tagged}
        if "MLFLOW_TRACKING_URI" in os.environ:
            return same
        runs = run.directory.parent.resolve()  # MLflow's own default, a folder of files, is no longer supported by it
        return {**same, "tracking_uri": f"sqlite:///{runs}/mlflow.db", "artifact_location": f"{runs}/{MLFLOW_FILES}"}
    if name == "wandb":  # whose own process, begun for another run perhaps, may have another working folder
        same = {
            "save_dir": str(run.directory.absolute()),
            "id": run.run_id,
            "name": run.run_id,
            "config": hyperparameters(run),
        }
        return {**same, "group": group or _without_seed(run), "tags": list(tags), "job_type": "train", **offline()}
    return {}
