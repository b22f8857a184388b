"""Callbacks of every run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lit_modules.classifier import Classifier

if TYPE_CHECKING:
    from tricks.base import ModelTrick


class MovingStrengths(Callback):
    """Gives the live network, before each batch, the strengths that its tricks have at that moment."""

    def __init__(self, tricks: Sequence[ModelTrick]) -> None:
        self.tricks = [trick for trick in tricks if trick.ramps]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        assert isinstance(pl_module, Classifier)
        for trick in self.tricks:
            trick.at(pl_module.progress).update(pl_module.model)


class LearningRate(Callback):
    """Where ``share`` gives a number, the learning rate is that share of the peak, whatever the schedule says."""

    def __init__(self, share: Callable[[Classifier], float | None]) -> None:
        self.share = share

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        assert isinstance(pl_module, Classifier)
        share = self.share(pl_module)
        if share is not None:
            for group in trainer.optimizers[0].param_groups:  # the schedule computes each rate anew from the peak
                group["lr"] = share * group["initial_lr"]


class Ending(Callback):
    """The end of the training is as the end of any epoch, whatever ends it: it is validated, and stays the end.

    With ``trainer.max_steps`` it may come in mid-epoch, with ``trainer.val_every_epochs`` in an epoch that would not be
    validated, and where a callback (early stopping) has ended it, Lightning would go on from the last checkpoint.

    Args:
        max_steps: optimizer steps of the whole training; None: its epochs are counted.
    """

    def __init__(self, max_steps: int | None = None) -> None:
        self.max_steps = max_steps
        self._ended = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop |= self._ended

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if whole and trainer.global_step + 1 == self.max_steps:
            trainer.fit_loop.epoch_loop.batch_progress.is_last_batch = True
            trainer.should_stop = True  # lets Lightning validate now

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["ended"] = trainer.should_stop

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._ended = checkpoint.get("ended", False)  # one of an earlier version says nothing


class History(Callback):
    """What each epoch came to: its scores on the validation set, and how long a training step took.

    Kept in the checkpoints, so that a run that went on knows all of its epochs.
    """

    def __init__(self) -> None:
        self.scores: list[dict[str, float]] = []
        """Of each epoch: top1, top5, loss on the validation set."""
        self.seconds: list[float] = []
        """Of each epoch: the mean time of an optimizer step, loading included, validation not."""
        self._began, self._step = 0.0, 0

    @property
    def best(self) -> dict[str, float]:
        """The scores of the first epoch with the highest top-1: that of best.ckpt."""
        return max(self.scores, key=lambda scores: scores["top1"])

    @property
    def step_seconds(self) -> float:
        """The median over the epochs: the first one warms up."""
        return median(self.seconds)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began, self._step = time.perf_counter(), trainer.global_step  # perhaps in mid-epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began, self._step = time.perf_counter(), trainer.global_step

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The loss of the epoch's last step has been read, so the device is not behind.
        steps = trainer.global_step - self._step
        self.seconds.append((time.perf_counter() - self._began) / max(steps, 1))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        self.scores.append({name.removeprefix("val/"): value for name, value in scores.items()})

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scores, self.seconds = list(state_dict["scores"]), list(state_dict["seconds"])


class Stretches(Callback):
    """On what each part of the training ran, and by which code: one that was stopped may go on elsewhere.

    Kept in the checkpoints.
    """

    def __init__(self, batch: object, hardware: dict[str, Any], git_commit: str | None, git_diff: str | None) -> None:
        self.here = {"batch": str(batch), "hardware": hardware, "git_commit": git_commit, "git_diff": git_diff}
        self.all: list[dict[str, Any]] = []
        """Of each: the step it began at, how the batch was split, the hardware, the commit, the difference from it."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.all.append({"step": trainer.global_step, **self.here})

    def state_dict(self) -> dict[str, Any]:
        return {"all": self.all}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.all = list(state_dict["all"])
