"""Callbacks that tricks share."""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from lit_modules.classifier import Classifier


class BeforeEachStep(Callback):
    """Calls ``function(network, step, total_steps)`` before each batch; steps are optimizer steps, counted from 0.

    ``total_steps`` is the learning rate schedule's, so that both end together.
    """

    def __init__(self, function: Callable[[nn.Module, int, int], None]) -> None:
        self.function = function

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        assert isinstance(pl_module, Classifier)
        self.function(pl_module.model, trainer.global_step, pl_module.schedule.total_steps)
