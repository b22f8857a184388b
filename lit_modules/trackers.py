"""TensorBoard, MLflow and W&B are told a run's configuration, its metrics by optimizer step, and its result.

They go on with the same run after a resume, and do not say twice what was said before.

A run that goes on from a checkpoint repeats what came after it. TensorBoard is told to forget that; MLflow and W&B
cannot forget, so they are not told again. (W&B without a network keeps both parts; what they share has equal values.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from assemble.atomic import write_whole
from assemble.dotted import flat

LONGEST = 6000
"""Characters of a parameter that MLflow takes."""
AT_ONCE = 100
"""Parameters that it takes in one call."""


@runtime_checkable
class GoesOn(Protocol):
    """A logger that is told from where a run goes on."""

    def go_on_from(self, step: int) -> None:
        """Prepare for what comes after ``step`` optimizer steps; called before anything is logged."""
        ...


@runtime_checkable
class TakesResult(Protocol):
    """A logger that is given a finished run."""

    def log_result(self, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Keep the content of result.json, and those of the files that are kept as files."""
        ...


class TensorBoard(TensorBoardLogger):
    """Lightning's, whose event files forget what came after the checkpoint, and whose hparams have the scores."""

    SCORES = ("test/top1", "test/top5", "test/loss", "test/ece", "val/top1", "val/loss")
    """Scalars that the table of hyper-parameters shows."""
    _end: Any = None

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """Begin the session of the hyper-parameters, whose end `log_result` tells; ``metrics`` are not needed."""
        from torch.utils.tensorboard.summary import hparams

        self.hparams = dict(params)
        plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flat(params).items()}
        *begin, self._end = hparams(plain, dict.fromkeys(self.SCORES, 0.0))
        for summary in begin:
            self.experiment._get_file_writer().add_summary(summary)

    @rank_zero_only
    def log_result(self, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        if self._end is not None:
            self.experiment._get_file_writer().add_summary(self._end)
            self.experiment.flush()

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
        # Lightning's default is the variable as it was when Lightning was imported.
        super().__init__(**{"tracking_uri": os.environ.get("MLFLOW_TRACKING_URI"), **arguments})
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

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Log those that MLflow has not: it does not let any be changed, as a resumed run may its loader's workers."""
        from mlflow.entities import Param

        client: Any = self.experiment
        known = client.get_run(self.run_id).data.params
        new = [Param(key, str(value)[:LONGEST]) for key, value in flat(params).items() if key not in known]
        for begin in range(0, len(new), AT_ONCE):
            client.log_batch(self.run_id, params=new[begin : begin + AT_ONCE])

    @rank_zero_only
    def log_result(self, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Log the numbers as metrics ``result.*``, which are columns in MLflow, and the files as artifacts."""
        client: Any = self.experiment
        for name, value in flat({"result": result}).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                client.log_metric(self.run_id, name, value)
        for file in files:
            client.log_artifact(self.run_id, str(file))

    def finalize(self, status: str = "success") -> None:
        """Do nothing: Lightning says this at the end of fit and of test, and the run ends once, by `end`."""

    def end(self, status: str) -> None:
        """End the MLflow run; a server's links to it are printed then."""
        super().finalize(status)

    @rank_zero_only
    def _make_experiment(self) -> None:
        """Make the MLflow experiment where there is none, of which Lightning would warn."""
        from mlflow.exceptions import MlflowException

        if self._mlflow_client.get_experiment_by_name(self._experiment_name) is None:
            with suppress(MlflowException):  # another run was faster
                self._mlflow_client.create_experiment(self._experiment_name, self._artifact_location)

    @property
    def experiment(self) -> Any:
        """The client; makes the MLflow run when it is first needed."""
        if not self._initialized and self._run_id is None:
            self._make_experiment()
        with _environment_kept("MLFLOW_TRACKING_URI"):
            begun, client = self._initialized, super().experiment
        if self._initialized and not begun and self._run_id:
            write_whole(self._file, f"{self._run_id}\n")
        return client


@contextmanager
def _environment_kept(name: str) -> Iterator[None]:
    """Leave a variable as it was: Lightning has MLflow put its address there, where the next run would find it."""
    before = os.environ.get(name)
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


class Wandb(_ToldOnce, WandbLogger):
    """Lightning's, which takes up the W&B run of the same id."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._wandb_init.pop("anonymous", None)  # which W&B no longer knows, and warns of
        if "WANDB_SWEEP_ID" in os.environ:  # an agent of W&B's started this: it has said which run of which project
            self._wandb_init.update(project=None, entity=None, id=None)

    @rank_zero_only
    def log_result(self, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Put the result into the summary, whose entries are columns in W&B, and the files into an artifact."""
        import wandb

        experiment: Any = self.experiment
        experiment.summary.update({"result": dict(result)})
        artifact = wandb.Artifact(experiment.id, type="result")
        for file in files:
            artifact.add_file(str(file))
        experiment.log_artifact(artifact)

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        experiment: Any = self.experiment
        if getattr(experiment, "resumed", False):
            self._all = int(experiment.summary.get("trainer/global_step", 0)) - 1  # perhaps not all of that step
