"""A first layer that is filled from training images before the first step, and then stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_modules.datamodule import collate


class FixedFirstLayer(Callback):
    """Fills a layer, whose weight is not trained, and whose bias for some epochs.

    Args:
        layer: finds it in the network.
        fill: normalised images (N, 3, H, W), kernel size -> its weight.
        images: that ``fill`` is shown, at most.
        bias_epochs: in which a bias is trained.
    """

    def __init__(
        self,
        layer: Callable[[nn.Module], nn.Conv2d],
        fill: Callable[[Tensor, int], Tensor],
        images: int,
        bias_epochs: int,
    ) -> None:
        self.layer, self.fill, self.images, self.bias_epochs = layer, fill, images, bias_epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        module: Any = pl_module
        layer = self.layer(module.model)
        layer.weight.requires_grad_(False)  # before devices agree on what is trained
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        shown = data.train_set_as_scored(data.train_set.size)
        images = [shown[i] for i in range(min(self.images, len(shown)))]
        with torch.no_grad():
            pixels, _ = collate([(np.asarray(image), label) for image, label in images])
            normalised = (pixels.float() - module.mean.cpu()) / module.std.cpu()
            layer.weight.copy_(
                self.fill(normalised, layer.kernel_size[0])
            )  # a checkpoint's comes after, and is the same

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        module: Any = pl_module
        bias = self.layer(module.model).bias
        if bias is not None and trainer.current_epoch >= self.bias_epochs:
            bias.grad = None
