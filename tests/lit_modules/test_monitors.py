"""What is watched of a training, and that it is not changed by it."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from assemble.errors import UserError
from assemble.planning.plan import make_plan
from assemble.runs.build import build_callbacks, build_module, build_trainer
from assemble.runs.code import Code
from lit_modules.csv_logger import CsvLogger
from lit_modules.monitors import MONITORS, check_monitors, gradient_norm, memory
from tests.helpers.small_run import small_config, small_plan

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*logging interval"
)


def train(folder: Path, monitors: list[str]) -> tuple[list[dict[str, str]], dict[str, torch.Tensor]]:
    """Two epochs of three steps, every second one logged: the rows of metrics.csv, and the weights."""
    cfg = small_config()
    cfg.trainer.log_every_n_steps, cfg.trainer.progress_bar, cfg.trainer.monitors = 2, False, monitors
    plan = small_plan({"mixup": {}}, cfg)
    module = build_module(plan)
    trainer = build_trainer(
        cfg.trainer,
        limit_train_batches=plan.micro_batches_per_epoch,
        logger=[CsvLogger(str(folder), name="", version="")],
        callbacks=build_callbacks(plan, folder, {}, Code()),
        default_root_dir=folder / "lightning",
    )
    trainer.fit(module, datamodule=plan.data)
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file)), module.state_dict()


def test_monitors_stand_in_the_rows_of_the_loss_and_change_nothing(tmp_path: Path) -> None:
    plain, before = train(tmp_path / "plain", [])
    watched, after = train(tmp_path / "watched", list(MONITORS))
    names = [f"monitor/{name}" for name in MONITORS]
    assert all(torch.equal(before[key], value) for key, value in after.items())
    assert [{k: v for k, v in row.items() if k not in names} for row in watched] == plain
    losses = [row for row in watched if row["train/loss"]]
    assert [row["step"] for row in losses] == ["2", "3", "4", "6"]
    assert all(float(row[name]) >= 0 for row in losses for name in names)
    assert float(losses[-1]["monitor/time_left"]) == 0
    assert not any(row[name] for row in watched if not row["train/loss"] for name in names)


def test_the_gradients_norm_is_that_of_all_numbers_together() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.grad, layer.bias.grad = torch.tensor([[2.0, 3.0]]), torch.tensor([6.0])
    layer.register_parameter("unused", nn.Parameter(torch.ones(3)))
    assert float(gradient_norm(layer)) == 7


def test_the_memory_is_this_processs() -> None:
    size = memory(torch.device("cpu"))
    assert size is None or 50 < size < 100_000


def test_an_unknown_monitor_is_refused() -> None:
    cfg: Any = small_config()
    cfg.trainer.monitors = ["gradnorm"]
    with pytest.raises(UserError, match=r"unknown monitor 'gradnorm'\. Did you mean 'grad_norm'"):
        make_plan(cfg, [])
    check_monitors(MONITORS)
