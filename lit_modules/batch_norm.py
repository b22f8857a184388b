"""Batch norm's statistics measured anew: the mean over batches in the place of a moving one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import update_bn

from lit_modules.classifier import Classifier


def measure_statistics(trainer: Trainer, module: Classifier, batches: int | None = None) -> None:
    """Set the running mean and variance of every batch norm, the frozen ones excepted, over all ranks.

    One pass in training mode over the training images of this epoch, augmented but not mixed (torch's `update_bn`).
    Nothing else changes, random generators included.

    Args:
        trainer: in the middle of a fit.
        module: what it fits; its network has weights that the statistics do not belong to.
        batches: of each device, the first ones of the epoch; None: all.
    """
    cuda = [module.device] if module.device.type == "cuda" else []
    with torch.random.fork_rng(cuda), trainer.precision_plugin.forward_context():
        update_bn(_training_images(trainer, batches), module, module.device)
    for buffer in module.model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(trainer.strategy.reduce(buffer, reduce_op="mean"))


class PreciseStatistics(Callback):
    """`measure_statistics` of so many batches at each epoch's end, before its validation."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_last_batch:
            assert isinstance(pl_module, Classifier)
            measure_statistics(trainer, pl_module, self.batches)


def _training_images(trainer: Trainer, batches: int | None) -> Iterator[Tensor]:
    """Yield images of this rank (N, 3, H, W), all views."""
    loader = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
    loader.sampler.set_epoch(trainer.current_epoch)
    count = int(trainer.num_training_batches)
    for images, *_ in islice(loader, count if batches is None else min(batches, count)):
        yield images.flatten(0, 1) if images.ndim == 5 else images
