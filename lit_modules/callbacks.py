"""Callbacks of every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

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
