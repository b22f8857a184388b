"""The loggers: where they write, what W&B is told, and how they are closed."""

import csv
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from pytorch_lightning.loggers import WandbLogger

from assemble.errors import UserError
from assemble.paths import ROOT
from assemble.runs.directory import Run
from assemble.runs.loggers import _of_run, build_loggers, close_loggers
from assemble.schema import Config
from lit_modules.csv_logger import CsvLogger
from lit_modules.trackers import TensorBoard

NO_NETRC = "/nonexistent/netrc"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """An opened run."""
    return Run(tmp_path, "tiny-plain-s0-12345678", "12345678", "top", {"seed": 0, "model": {"name": "tiny"}})


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", NO_NETRC)


def config(*names: str, **settings: dict[str, Any]) -> dict[str, Any]:
    """The resolved configuration with these loggers of conf/logger."""
    ConfigStore.instance().store(name="loggers", node=Config)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("loggers", overrides=[f"+logger=[{','.join(names)}]"])
    whole: Any = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    for name, more in settings.items():
        whole["logger"].setdefault(name, {}).update(more)
    return whole


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_goes_on_after_a_resume(run: Run) -> None:
    for step, metrics in enumerate([{"loss": 3.0}, {"loss": 2.0, "top1": 50.0}, {"loss": 1.0}]):
        (logger,) = build_loggers(config("csv")["logger"], run, [], None)
        assert isinstance(logger, CsvLogger)
        logger.log_metrics(metrics, step=step)
        close_loggers([logger], 0)
    written = rows(run.directory / "metrics.csv")
    assert [row["step"] for row in written] == ["0", "1", "2"]
    assert [row["loss"] for row in written] == ["3.0", "2.0", "1.0"]
    assert [row["top1"] for row in written] == ["", "50.0", ""]


def csv_logger(run: Run) -> CsvLogger:
    (logger,) = build_loggers(config("csv")["logger"], run, [], None)
    assert isinstance(logger, CsvLogger)
    return logger


def test_a_run_that_goes_on_says_nothing_twice(run: Run) -> None:
    path, first = run.directory / "metrics.csv", csv_logger(run)
    for step in (5, 9, 10, 12):
        first.log_metrics({"loss": step / 2, "lr": 0.1}, step=step)
    first.log_metrics({"test/top1": 50.0}, step=10)
    first.finalize("failed")
    with path.open("a") as file:
        file.write("0.1,6.5")  # the machine went down while this was written
    second = csv_logger(run)
    second.go_on_from(10)
    second.log_metrics({"loss": 6.0, "lr": 0.1}, step=12)
    second.finalize("success")
    assert [(row["step"], row["loss"]) for row in rows(path)] == [
        ("5", "2.5"),
        ("9", "4.5"),
        ("10", "5.0"),
        ("12", "6.0"),
    ]
    csv_logger(run).go_on_from(12)
    assert len(rows(path)) == 4
    csv_logger(run).go_on_from(0)  # no checkpoint: from the beginning
    assert not path.exists()
    csv_logger(run).go_on_from(0)


def test_several_at_once(run: Run) -> None:
    loggers = build_loggers(config("csv", "tensorboard")["logger"], run, ["a"], "top")
    assert [type(logger) for logger in loggers] == [CsvLogger, TensorBoard]
    for logger in loggers:
        logger.log_metrics({"loss": 1.0}, step=0)
    close_loggers(loggers, 0)
    assert (run.directory / "metrics.csv").exists()
    assert list((run.directory / "tensorboard").glob("events.*"))


def wandb(run: Run, **settings: Any) -> dict[str, Any]:
    (logger,) = build_loggers(config("wandb", wandb=settings)["logger"], run, ["a", "b"], "top")
    assert isinstance(logger, WandbLogger)
    return logger._wandb_init


def test_what_wandb_is_told(run: Run) -> None:
    told = wandb(run)
    assert (told["id"], told["name"], told["resume"]) == (run.run_id, run.run_id, "allow")
    assert (told["group"], told["tags"]) == ("top", ["a", "b"])
    assert told["config"] == {**run.config, "recipe": "top", "config_hash": "12345678"}
    assert (told["project"], told["dir"], told["mode"]) == ("assemble", str(run.directory), "offline")
    mine = wandb(run, group="mine", project="theirs", entity="us")
    assert (mine["group"], mine["project"], mine["entity"]) == ("mine", "theirs", "us")


def test_wandb_is_online_only_with_a_key(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_API_KEY", "x")
        assert "mode" not in wandb(run)
    with monkeypatch.context() as patch:
        netrc = tmp_path / "netrc"
        patch.setenv("NETRC", str(netrc))
        netrc.write_text("machine elsewhere login user password x\n")
        netrc.chmod(0o600)
        assert wandb(run)["mode"] == "offline"
        netrc.write_text("machine api.wandb.ai login user password x\n")
        assert "mode" not in wandb(run)
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_MODE", "online")  # what the user says wins
        assert "mode" not in wandb(run)


class Finished:
    """Stands for a W&B run."""

    def __init__(self) -> None:
        self.codes: list[int] = []

    def finish(self, exit_code: int) -> None:
        self.codes.append(exit_code)


@pytest.mark.parametrize("code", [0, 1, 130])
def test_wandb_is_closed_with_the_exit_code(run: Run, code: int) -> None:
    (logger,) = build_loggers(config("wandb")["logger"], run, [], None)
    close_loggers([logger], code)  # never begun: nothing to finish
    experiment: Any = Finished()
    logger._experiment = experiment  # type: ignore[attr-defined]
    close_loggers([logger], code)
    assert experiment.codes == [code]


def test_closing_hides_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(CsvLogger):
        def finalize(self, status: str) -> None:
            raise OSError("the disk is full")

    close_loggers([Broken(str(run.directory))], 1)
    assert capsys.readouterr().err == ""  # the run's own line says more
    close_loggers([Broken(str(run.directory))], 0)
    assert "Broken could not be closed: the disk is full" in capsys.readouterr().err


def test_a_missing_package(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.loggers.mlflow._MLFLOW_AVAILABLE", False)
    with pytest.raises(UserError) as caught:
        build_loggers(config("mlflow")["logger"], run, [], None)
    assert str(caught.value) == "logger mlflow needs the package mlflow: pip install -e '.[mlflow]'"


def test_a_setting_it_does_not_know(run: Run) -> None:
    with pytest.raises(UserError, match=r"logger csv: .*colour"):
        build_loggers(config("csv", csv={"colour": "red"})["logger"], run, [], None)
    with pytest.raises(UserError, match="logger 'mine' has no _target_"):
        build_loggers(config("csv", mine={"x": 1})["logger"], run, [], None)


def test_mlflow_keeps_its_runs_beside_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told = _of_run("mlflow", run, ["sk"], "assemble_e06")
    assert told["tracking_uri"] == f"sqlite:///{run.directory.parent.resolve()}/mlflow.db"
    assert (told["run_name"], told["tags"]) == (
        run.run_id,
        {"tricks": "sk", "group": "assemble_e06", "config_hash": "12345678"},
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert "tracking_uri" not in _of_run("mlflow", run, [], None)  # MLflow reads it itself


def test_only_loggers_are_made(tmp_path: Path) -> None:
    """A recipe of somebody else's must not run what it likes."""
    config = {"logger": {"x": {"_target_": "os.mkdir", "path": str(tmp_path / "made")}}}
    with pytest.raises(UserError, match=r"logger x: os\.mkdir is no logger of Lightning's: name a subclass"):
        build_loggers(config["logger"], Run(tmp_path, "a", "b"), [], None)
    assert not (tmp_path / "made").exists()
