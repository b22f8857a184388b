"""Trackers are told everything of a run, go on with the same run, and have every step once."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import assemble
from assemble.dotted import flat
from assemble.runs.directory import Run
from assemble.runs.loggers import log_later_result
from lit_modules.trackers import MLflow, TensorBoard, Wandb
from tests.reporting.test_wandb_report import items, offline_records

ROOT = Path(__file__).resolve().parents[2]
QUICK = (
    "+tricks=[mixup]",
    "tricks.mixup.alpha={from:0,to:0.4}",
    "model.width=4",
    "data.image_size=16",
    "trainer=smoke",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=1",
    "trainer.progress_bar=false",
)

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
    client = mlflow.MlflowClient(place)
    second.finalize("success")  # as Lightning does after fit and after test: links would be printed each time
    assert client.search_runs([second.experiment_id])[0].info.status == "RUNNING"
    second.end("success")
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


@dataclass
class Tracked:
    """A finished run with all trackers."""

    directory: Path
    said: str

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.directory / "result.json").read_text())

    @property
    def hash(self) -> str:
        return self.result["config_hash"]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """Two epochs of two steps on the digits, in this process."""
    folder, said = tmp_path_factory.mktemp("tracked"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", "/nonexistent/netrc")
        patch.chdir(folder)
        config = assemble.compose([*QUICK, "trainer.limit_train_batches=0.2", "logger=[csv,wandb,tensorboard,mlflow]"])
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            result = assemble.train(config)
        yield Tracked(folder / "runs" / result["run_id"], said.getvalue())


def as_params(tracked: Tracked) -> dict[str, str]:
    """The configuration by dotted key, as config.yaml has it, and what else comes with it."""
    from assemble.yaml_files import read_yaml

    config: Any = read_yaml(tracked.directory / "config.yaml")
    return {k: str(v) for k, v in flat({**config, "recipe": None, "config_hash": tracked.hash}).items()}


def by_step(tracked: Tracked) -> dict[str, list[tuple[int, float]]]:
    """Metric -> (step, value) of metrics.csv."""
    import csv

    found: dict[str, list[tuple[int, float]]] = {}
    with (tracked.directory / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    found.setdefault(name, []).append((int(row["step"]), float(value)))
    return found


def alike(told: list[tuple[int, float]], rows: list[tuple[int, float]]) -> bool:
    """The same steps, and the same values but for float32."""
    return [step for step, _ in told] == [s for s, _ in rows] and [v for _, v in told] == pytest.approx(
        [v for _, v in rows]
    )


@MLFLOW
def test_validation_is_at_the_step_of_the_training_beside_it(tracked: Tracked) -> None:
    steps = {name: [step for step, _ in rows] for name, rows in by_step(tracked).items()}
    assert steps["train/loss"] == steps["lr"] == [1, 2, 3, 4, 5, 6]
    assert steps["train/top1"] == steps["val/top1"] == steps["val/loss"] == [3, 6]
    assert steps["test/top1"] == [6]
    epochs = [line.split(",")[0] for line in (tracked.directory / "metrics.csv").read_text().splitlines()[1:]]
    assert epochs == list("000011112"), "whole numbers"


@MLFLOW
def test_nothing_is_warned_of(tracked: Tracked) -> None:
    assert not re.search(r"warn|not found|deprecat", tracked.said, re.IGNORECASE), tracked.said
    told = [
        r.output_raw.line for r in offline_records(tracked.directory) if r.WhichOneof("record_type") == "output_raw"
    ]
    assert not re.search(r"warn|not found|deprecat", "".join(told), re.IGNORECASE), told


@MLFLOW
def test_mlflow_has_it_all(tracked: Tracked) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tracked.directory.parent}/mlflow.db")
    check_mlflow(client, tracked)


def check_mlflow(client: Any, tracked: Tracked) -> None:
    """Parameters, metrics at their steps, tags, status and artifacts of the only run."""
    experiment = client.get_experiment_by_name("assemble")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (tracked.directory.name, "FINISHED")
    assert run.data.params == as_params(tracked)
    assert run.data.params["tricks.mixup.alpha.to"] == "0.4"
    assert (run.data.tags["tricks"], run.data.tags["config_hash"]) == ("mixup", tracked.hash)
    for name, rows in by_step(tracked).items():
        told = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
        assert alike(told, rows), name
    assert run.data.metrics["result.metrics.top1"] == tracked.result["metrics"]["top1"]
    assert run.data.metrics["result.params"] == tracked.result["params"]
    for name in ("result.json", "config.yaml"):
        kept = Path(client.download_artifacts(run.info.run_id, name))
        assert kept.read_text() == (tracked.directory / name).read_text()


@MLFLOW
def test_tensorboard_has_it_all(tracked: Tracked) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    events = EventAccumulator(str(tracked.directory / "tensorboard"))
    events.Reload()
    for name, rows in by_step(tracked).items():
        assert alike([(event.step, event.value) for event in events.Scalars(name)], rows), name
    told = events.PluginTagToContent("hparams")
    begin = metadata.parse_session_start_info_plugin_data(told[metadata.SESSION_START_INFO_TAG])
    given = {key: getattr(value, value.WhichOneof("kind")) for key, value in begin.hparams.items()}
    expected = as_params(tracked)
    assert given.keys() == expected.keys()
    assert (given["optim.lr"], given["tricks.mixup.kind"], given["config_hash"]) == (0.1, "type1", tracked.hash)
    assert given["tricks.mixup.alpha.to"] == 0.4
    table = metadata.parse_experiment_plugin_data(told[metadata.EXPERIMENT_TAG])
    shown = {info.name.tag for info in table.metric_infos}
    assert {"test/top1", "val/top1"} <= shown <= set(events.Tags()["scalars"])
    end = metadata.parse_session_end_info_plugin_data(told[metadata.SESSION_END_INFO_TAG])
    assert end.status == 1  # STATUS_SUCCESS


@MLFLOW
def test_wandb_has_it_all(tracked: Tracked) -> None:
    records = offline_records(tracked.directory)
    (told,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (told.run_id, told.run_group) == (tracked.directory.name, f"tiny-digits-mixup-{tracked.hash}")
    given = {item.key: json.loads(item.value_json) for item in told.config.update}
    expected = as_params(tracked)
    assert {k: str(v) for k, v in flat({k: v for k, v in given.items() if k != "_wandb"}).items()} == expected
    rows = [items([record], "history", "item") for record in records if record.WhichOneof("record_type") == "history"]
    for name, values in by_step(tracked).items():
        found = [(row["trainer/global_step"], row[name]) for row in rows if name in row]
        assert alike(found, values), name
    assert items(records, "summary", "update")["result"]["metrics"] == tracked.result["metrics"]
    (artifact,) = [record.artifact for record in records if record.WhichOneof("record_type") == "artifact"]
    assert {entry.path for entry in artifact.manifest.contents} == {"result.json", "config.yaml"}


@MLFLOW
def test_mlflow_takes_a_setting_that_a_resumed_run_has_otherwise(tmp_path: Path) -> None:
    """MLflow lets no parameter be changed, and a run may go on with other loader workers."""
    import mlflow

    place = f"sqlite:///{tmp_path}/mlflow.db"
    for workers in (0, 2):
        logger = MLflow(f"{tmp_path}/mlflow_run", tracking_uri=place, artifact_location=str(tmp_path))
        logger.go_on_from(0)
        logger.log_hyperparams(
            {"data": {"num_workers": workers, **{f"key{workers}{i}": "a" * 7000 for i in range(120)}}}
        )
        logger.end("success")
    client = mlflow.MlflowClient(place)
    (run,) = client.search_runs([logger.experiment_id])
    assert len(run.data.params) == 241
    assert run.data.params["data.num_workers"] == "0"
    assert run.data.params["data.key2119"] == "a" * 6000


@MLFLOW
def test_a_result_that_comes_later_reaches_the_same_mlflow_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that a finished run is asked for later; where it has no MLflow run yet, one is made."""
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    chosen = {"csv": {}, "mlflow": {"_target_": "lit_modules.trackers.MLflow", "experiment_name": "assemble"}}
    run = Run(tmp_path / "a-s0-1", "a-s0-1", "1", None, {"seed": 0, "tricks": {}, "logger": chosen})
    run.directory.mkdir()
    for top1 in (50.0, 60.0):
        result = {"metrics": {"top1": top1}, "model": "a"}
        (run.directory / "result.json").write_text(json.dumps(result))
        log_later_result(chosen, run, result)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (told,) = client.search_runs([client.get_experiment_by_name("assemble").experiment_id])
    assert (told.info.status, told.data.metrics) == ("FINISHED", {"result.metrics.top1": 60.0})
    assert told.data.params["config_hash"] == "1"
    assert json.loads(Path(client.download_artifacts(told.info.run_id, "result.json")).read_text()) == result
    assert not (run.directory / "metrics.csv").exists()


@pytest.mark.slow
@pytest.mark.process
@MLFLOW
def test_a_real_mlflow_server(tmp_path: Path) -> None:
    """Over HTTP, with a password in its address, which must not be written anywhere."""
    import mlflow

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--artifacts-destination", f"{tmp_path}/kept"]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen([*command, *store], stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.2)
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        password = "hush" * 3  # not in this file, which is in the diff that a run keeps
        address = f"logger.mlflow.tracking_uri='http://me:{password}@127.0.0.1:{port}'"
        subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *QUICK, "logger=[csv,mlflow]", f"+{address}"],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
        )
        (directory,) = (tmp_path / "runs").iterdir()
        client = mlflow.MlflowClient(f"http://127.0.0.1:{port}")
        check_mlflow(client, Tracked(directory, ""))
        assert password.encode() not in (tmp_path / "server.db").read_bytes()
        files = [file for file in directory.rglob("*") if file.is_file()]
        assert not [file for file in files if password.encode() in file.read_bytes()]
    finally:
        os.killpg(server.pid, 15)
        server.wait()
