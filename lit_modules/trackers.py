"""TensorBoard, MLflow and W&B go on with the same run after a resume, and do not say twice what was said before.

A run that goes on from a checkpoint repeats what came after it. TensorBoard is told to forget that; MLflow and W&B
cannot forget, so they are not told again. (W&B without a network keeps both parts; what they share has equal values.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from assemble.atomic import write_whole


@runtime_checkable
class GoesOn(Protocol):
    """A logger that is told from where a run goes on."""

    def go_on_from(self, step: int) -> None:
        """Prepare for what comes after ``step`` optimizer steps; called before anything is logged."""
        ...


class TensorBoard(TensorBoardLogger):
    """Lightning's, whose event files forget what came after the checkpoint."""

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        if list(Path(self.log_dir).glob("events.*")):
            self._kwargs["purge_step"] = step + 1


class _ToldOnce(Logger):
    """Leaves out what the tracker has already."""

    _has: Mapping[str, int] = {}
    """The last step of each metric that it has."""
    _all = -1
    """The step up to which it has everything."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        new = {name: v for name, v in metrics.items() if step is None or step > self._has.get(name, self._all)}
        if new:
            super().log_metrics(new, step)


class MLflow(_ToldOnce, MLFlowLogger):
    """Lightning's, but with one MLflow run for one run directory, whose ``mlflow_run`` says which.

    Args:
        run_file: that file.
        arguments: as Lightning's.
    """

    def __init__(self, run_file: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._file = Path(run_file)
        if self._run_id is None and self._file.is_file():
            self._run_id = self._file.read_text(encoding="utf-8").strip() or None

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        from mlflow.exceptions import MlflowException

        known = self._run_id
        if known is None:
            return
        try:
            run = self._mlflow_client.get_run(known)
            self._mlflow_client.update_run(known, status="RUNNING")
        except MlflowException:  # of another server, or deleted there
            self._run_id = None
            return
        self._has = {
            name: max(metric.step for metric in self._mlflow_client.get_metric_history(known, name))
            for name in run.data.metrics
        }

    @property
    def experiment(self) -> Any:
        """The client; makes the MLflow run when it is first needed."""
        begun, client = self._initialized, super().experiment
        if self._initialized and not begun and self._run_id:
            write_whole(self._file, f"{self._run_id}\n")
        return client


class Wandb(_ToldOnce, WandbLogger):
    """Lightning's, which takes up the W&B run of the same id."""

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        experiment: Any = self.experiment
        if getattr(experiment, "resumed", False):
            self._all = int(experiment.summary.get("trainer/global_step", 0)) - 1  # perhaps not all of that step
