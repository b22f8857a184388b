"""Where a row comes from: command, settings, and its runs in trackers."""

from pathlib import Path

import pytest

from assemble.reporting.page import page
from assemble.reporting.report import make_report
from assemble.reporting.sources import Tracked, source, tracked
from tests.helpers.synthetic_runs import default_config, make_run


def test_a_row_has_its_command_its_settings_and_its_runs(tmp_path: Path) -> None:
    config = default_config()
    config["optim"]["lr"] = 0.3
    config["trainer"]["devices"] = 8  # changes nothing about the result
    runs = [make_run(tmp_path, ("sk",), seed, config=config, command=f"python train.py seed={seed}") for seed in (0, 1)]
    found = source(make_report([tmp_path]).tables[0].rows[0])
    assert found.command == "python train.py seed=0"
    assert found.settings == "optim.lr=0.3"
    assert [directory for directory, _ in found.runs] == [run.as_posix() for run in runs]


def test_trackers_are_told_as_far_as_the_directory_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    config = default_config()
    config["logger"] = {"wandb": {"project": "mine", "entity": "us"}}
    directory = make_run(tmp_path, (), 0, config=config)
    (run,) = make_report([tmp_path]).runs
    name = directory.name
    assert list(tracked(run)) == [Tracked(f"W&B us/mine/{name}", f"https://wandb.ai/us/mine/runs/{name}")]
    text = page(make_report([tmp_path]))
    assert f'<a href="https://wandb.ai/us/mine/runs/{name}">W&amp;B us/mine/{name}</a>' in text
    (directory / "mlflow_run").write_text("0123abc\n")
    (directory / "tensorboard").mkdir()
    (directory / "wandb" / "offline-run-1").mkdir(parents=True)
    assert list(tracked(run)) == [
        Tracked(f"wandb sync {directory}/wandb/offline-run-1"),
        Tracked("MLflow run 0123abc"),
        Tracked(f"tensorboard --logdir {directory}/tensorboard"),
    ]


def test_no_address_where_only_the_project_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = default_config()
    config["logger"] = {"wandb": {"project": "mine", "entity": None}}
    make_run(tmp_path / "a", (), 0, config=config)
    (run,) = make_report([tmp_path / "a"]).runs
    assert list(tracked(run)) == [Tracked(f"W&B mine/{run.run_id}")]
    config["logger"] = {"wandb": 3}  # a damaged one
    make_run(tmp_path / "c", (), 0, config=config)
    (run,) = make_report([tmp_path / "c"]).runs
    assert list(tracked(run)) == [Tracked(f"W&B {run.run_id}")]
    config["logger"] = {"wandb": {"project": "mine"}}
    monkeypatch.setenv("WANDB_BASE_URL", "javascript:alert(1)")
    config["logger"]["wandb"]["entity"] = "us"
    make_run(tmp_path / "b", (), 0, config=config)
    (run,) = make_report([tmp_path / "b"]).runs
    assert [told.address for told in tracked(run)] == [""]
