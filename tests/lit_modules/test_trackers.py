"""Trackers go on with the same run, and have every step once."""

from pathlib import Path
from typing import Any

import pytest

from lit_modules.trackers import MLflow, TensorBoard, Wandb

MLFLOW = pytest.mark.filterwarnings("default")  # its own, about its database's


def training(logger: Any, begin: int, end: int) -> None:
    """Log the loss of each step; at every third a score as well, in a call of its own."""
    for step in range(begin, end):
        logger.log_metrics({"train/loss": 10.0 - step}, step)
        if step % 3 == 2:
            logger.log_metrics({"val/top1": float(step)}, step)


def test_tensorboard_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for checkpoint, end in ((0, 6), (4, 9)):
        logger = TensorBoard(str(tmp_path), name="tensorboard", version="")
        logger.go_on_from(checkpoint)
        training(logger, checkpoint + bool(checkpoint), end)
        logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(9))
    assert [event.value for event in events.Scalars("val/top1")] == [2.0, 5.0, 8.0]


@MLFLOW
def test_mlflow_goes_on_with_its_run(tmp_path: Path) -> None:
    import mlflow

    place = f"sqlite:///{tmp_path}/mlflow.db"

    def logger() -> MLflow:
        return MLflow(
            f"{tmp_path}/mlflow_run", experiment_name="a", tracking_uri=place, artifact_location=str(tmp_path)
        )

    first = logger()
    first.go_on_from(0)
    training(first, 0, 5)
    first.log_metrics({"train/loss": 5.0}, 5)  # killed before the score of this step
    second = logger()
    second.go_on_from(3)
    training(second, 4, 9)
    second.finalize("success")
    client = mlflow.MlflowClient(place)
    (run,) = client.search_runs([second.experiment_id])
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert sorted((metric.step, metric.value) for metric in history) == [(step, 10.0 - step) for step in range(9)]
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "val/top1")] == [2, 5, 8]


@MLFLOW
def test_mlflow_begins_anew_where_its_run_is_gone(tmp_path: Path) -> None:
    (tmp_path / "mlflow_run").write_text("0123456789abcdef0123456789abcdef\n")
    logger = MLflow(f"{tmp_path}/mlflow_run", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    logger.go_on_from(3)
    logger.log_metrics({"loss": 1.0}, 3)
    assert (tmp_path / "mlflow_run").read_text().strip() == logger.run_id != "0123456789abcdef0123456789abcdef"


class Server:
    """Stands for a W&B run that is taken up again; the network is not here."""

    resumed = True

    def __init__(self, step: int) -> None:
        self.summary = {"trainer/global_step": step}
        self.said: list[dict[str, float]] = []

    def log(self, metrics: dict[str, float]) -> None:
        self.said.append(metrics)


def test_wandb_is_not_told_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger, server = Wandb(save_dir=str(tmp_path), id="a", mode="offline"), Server(6)
    monkeypatch.setattr(Wandb, "experiment", server)
    logger.go_on_from(3)
    training(logger, 4, 9)
    steps = [row["trainer/global_step"] for row in server.said]
    assert steps == [6, 7, 8, 8]  # of the last step that it has it may lack a part
