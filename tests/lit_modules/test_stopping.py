"""Training that is stopped in mid-epoch, by a signal or by nothing but time, ends where it would have ended."""

import csv
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from assemble.interrupts import Interrupts, Stopped
from assemble.runs.build import build_callbacks, build_module, build_trainer
from assemble.runs.code import Code
from assemble.schema import Config
from lit_modules.callbacks import History
from lit_modules.csv_logger import CsvLogger
from lit_modules.stopping import OurSignals, StoppableTraining, take_signals
from tests.helpers.small_run import small_config, small_plan

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in (
        ".*does not have many workers",
        ".*LeafSpec.* is deprecated",
        "Checkpoint directory",
        "The number of",
    )
]

TRICKS = {"dropblock": {"block_size": 2}, "mixup": {}, "ema": {"decay": 0.9}}
"""Masks, mixtures, and weights beside the network's."""


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, act: Any) -> None:
        self.step, self.act = step, act

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.act()


def config(accumulate: int = 1) -> Config:
    cfg = small_config(epochs=2)
    cfg.trainer.limit_train_batches, cfg.trainer.progress_bar = 0.2, False
    cfg.trainer.accumulate_grad_batches, cfg.trainer.log_every_n_steps = accumulate, 3
    return cfg


def train(
    folder: Path,
    accumulate: int = 1,
    *,
    stop_at: int | None = None,
    minutes: float | None = None,
    cfg: Config | None = None,
) -> Any:
    """Train as a run does, from its checkpoint where it has one; returns the trainer."""
    interrupts = Interrupts()
    plan = small_plan(TRICKS, cfg or config(accumulate))
    callbacks = [c for c in build_callbacks(plan, folder, {}, Code()) if not isinstance(c, StoppableTraining)]
    signal = At(stop_at or -1, lambda: interrupts._answer(15, None))
    logger = CsvLogger(str(folder), name="", version="")
    trainer = build_trainer(
        plan.cfg.trainer,
        limit_train_batches=plan.micro_batches_per_epoch,
        logger=[logger],
        callbacks=[*callbacks, signal, StoppableTraining(folder / "last.ckpt", minutes, interrupts)],
        enable_progress_bar=False,
        default_root_dir=folder / "lightning",
    )
    checkpoint = folder / "last.ckpt" if (folder / "last.ckpt").is_file() else None
    if checkpoint:
        logger.go_on_from(torch.load(checkpoint, weights_only=True)["global_step"])
    trainer.fit(build_module(plan), datamodule=plan.data, ckpt_path=checkpoint, weights_only=True)
    return trainer


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    rows = [(folder / "metrics.csv").read_text() for folder in (one, other)]
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) and rows[0] == rows[1]


@pytest.mark.parametrize(("accumulate", "stop_at"), [(1, 1), (1, 4), (1, 7), (2, 5)])
def test_stopped_after_a_step_it_ends_where_it_would_have_ended(tmp_path: Path, accumulate: int, stop_at: int) -> None:
    """Seven steps an epoch: the last one of an epoch is followed by its validation, and the stop comes after that."""
    steps = train(tmp_path / "whole", accumulate).global_step
    assert steps == 14
    with pytest.raises(SystemExit):  # Lightning's answer to an interrupt
        train(tmp_path / "stopped", accumulate, stop_at=stop_at)
    assert torch.load(tmp_path / "stopped" / "last.ckpt", weights_only=True)["global_step"] == stop_at
    train(tmp_path / "stopped", accumulate)
    assert same(tmp_path / "whole", tmp_path / "stopped")


def test_a_kill_loses_what_came_since_the_last_checkpoint(tmp_path: Path) -> None:
    """Every step, here, for the time between checkpoints is next to none."""
    train(tmp_path / "whole")

    class Killed(BaseException): ...

    def kill() -> None:
        raise Killed

    plan = small_plan(TRICKS, config())
    folder = tmp_path / "killed"
    callbacks = [c for c in build_callbacks(plan, folder, {}, Code()) if not isinstance(c, StoppableTraining)]
    trainer = build_trainer(
        plan.cfg.trainer,
        limit_train_batches=plan.micro_batches_per_epoch,
        logger=[CsvLogger(str(folder), name="", version="")],
        callbacks=[*callbacks, StoppableTraining(folder / "last.ckpt", 1e-9, Interrupts()), At(4, kill)],
        enable_progress_bar=False,
        default_root_dir=folder / "lightning",
    )
    with pytest.raises(Killed):
        trainer.fit(build_module(plan), datamodule=plan.data)
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 4
    train(folder)
    assert same(tmp_path / "whole", folder)


@pytest.mark.parametrize(("accumulate", "stop_at"), [(1, 8), (2, 9), (1, 10)])
def test_max_steps_ends_as_an_epoch_does_and_goes_on_as_exactly(tmp_path: Path, accumulate: int, stop_at: int) -> None:
    """Ten of seven steps an epoch: the second epoch has three, a validation, and a row of training at its end."""
    cfg = config(accumulate)
    cfg.trainer.max_steps = 10
    whole = train(tmp_path / "whole", cfg=cfg)
    assert (whole.global_step, whole.max_epochs) == (10, 2)
    with (tmp_path / "whole" / "metrics.csv").open() as file:
        rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows if "val/top1" in row] == [row["step"] for row in rows if "train/top1" in row]
    assert [row["step"] for row in rows if "val/top1" in row] == ["7", "10"]
    with pytest.raises(SystemExit):
        train(tmp_path / "stopped", stop_at=stop_at, cfg=cfg)
    again = train(tmp_path / "stopped", cfg=cfg)
    assert again.global_step == 10
    assert same(tmp_path / "whole", tmp_path / "stopped")


def test_max_steps_go_on_from_the_end_of_an_epoch(tmp_path: Path) -> None:
    """Told of max_steps, Lightning would take the epoch that has ended for one that has not, and skip the next."""
    cfg = config()
    cfg.trainer.max_steps = 10
    train(tmp_path / "whole", cfg=cfg)

    class Killed(BaseException): ...

    class Kill(Callback):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 1:
                raise Killed

    plan, folder = small_plan(TRICKS, cfg), tmp_path / "killed"
    trainer = build_trainer(
        plan.cfg.trainer,
        limit_train_batches=plan.micro_batches_per_epoch,
        logger=[CsvLogger(str(folder), name="", version="")],
        callbacks=[*build_callbacks(plan, folder, {}, Code()), Kill()],
        enable_progress_bar=False,
        default_root_dir=folder / "lightning",
    )
    with pytest.raises(Killed):
        trainer.fit(build_module(plan), datamodule=plan.data)
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 7
    assert train(folder, cfg=cfg).global_step == 10
    assert same(tmp_path / "whole", folder)


def test_the_last_epoch_is_validated_whichever_are(tmp_path: Path) -> None:
    cfg = config()
    cfg.trainer.max_epochs, cfg.trainer.val_every_epochs, cfg.trainer.limit_train_batches = 5, 2, 1
    trainer = train(tmp_path, cfg=cfg)
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file) if row["val/top1"]] == ["2", "4", "5"]
    history = next(callback for callback in trainer.callbacks if isinstance(callback, History))
    assert len(history.scores) == 3
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 5


def test_a_training_that_a_callback_has_ended_stays_ended(tmp_path: Path) -> None:
    cfg = config()
    cfg.trainer.max_epochs, cfg.trainer.limit_train_batches = 9, 2
    early = {"monitor": "val/top1", "mode": "max", "patience": 1, "min_delta": 1000.0}
    cfg.callbacks = {"early_stopping": {"_target_": "pytorch_lightning.callbacks.EarlyStopping", **early}}
    assert train(tmp_path, cfg=cfg).global_step == 4
    before = weights(tmp_path)
    assert train(tmp_path, cfg=cfg).global_step == 4
    assert all(torch.equal(before[key], value) for key, value in weights(tmp_path).items())


def test_a_second_signal_is_not_waited_with() -> None:
    interrupts = Interrupts()
    interrupts.patient = True
    interrupts._answer(15, None)
    assert interrupts.received == 15
    with pytest.raises(Stopped) as caught:
        interrupts._answer(2, None)
    assert caught.value.exit_code == 130


def test_where_nobody_looks_a_signal_stops_at_once() -> None:
    with pytest.raises(Stopped) as caught:
        Interrupts()._answer(15, None)
    assert caught.value.exit_code == 143


def test_at_its_end_a_program_hears_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What still runs then would print that it was interrupted."""
    handlers: dict[int, Any] = dict.fromkeys(signal.Signals, signal.SIG_DFL)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(signal, "getsignal", handlers.__getitem__)
    interrupts = Interrupts()
    interrupts.listen()
    assert handlers[signal.SIGTERM] == handlers[signal.SIGINT] == interrupts._answer
    interrupts.leave()
    assert handlers[signal.SIGTERM] == handlers[signal.SIGINT] == signal.SIG_DFL


def test_lightnings_own_handlers_stay_out() -> None:
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", enable_progress_bar=False)
    take_signals(trainer)
    assert isinstance(trainer._signal_connector, OurSignals)
    trainer._signal_connector.register_signal_handlers()
    assert trainer.received_sigterm is False
