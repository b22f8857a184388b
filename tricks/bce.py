"""BCE: binary cross-entropy, each class a question of its own.

Paper: Wightman et al. 2021 (arXiv 2110.00476, "ResNet strikes back"); Beyer et al. 2020 (arXiv 2006.07159).
Changes: the loss: -sum_k y log sigmoid(z) + (1 - y) log(1 - sigmoid(z)) instead of cross-entropy.
Differs: by default as in timm and RSB the mean over the classes, and the dense targets as they are. RSB's targets of a
mixed image are 1 for both of its classes: that is ``threshold`` (timm's ``--bce-target-thresh``). Label smoothing is
applied before it, as in timm, and then acts only where it moves a target across it. Composer takes the sum over the
classes and starts the classifier's bias at -log K; here it starts as the model has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch.nn.functional as F
from torch import Tensor

from assemble.bounds import bounded
from tricks._alone import named
from tricks.base import LossTrick, register


class Reduction(Enum):
    """How the classes' losses become an image's."""

    mean = "mean"
    sum = "sum"


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, reduction: Reduction | str = Reduction.mean, threshold: float | None = None
) -> Tensor:
    """Return the mean over the batch, mean or sum over the classes, for logits and dense targets (B, K)."""
    reduction = named(Reduction, reduction)
    if threshold is not None:
        targets = (targets > threshold).to(targets.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, targets)
    return loss * targets.shape[1] if reduction is Reduction.sum else loss


@register
@dataclass(frozen=True)
class BCE(LossTrick):
    """Parameters of binary cross-entropy."""

    reduction: Reduction = Reduction.mean
    """Over the classes: `mean`, or `sum`, which is K times as much (and so is the gradient)."""
    threshold: float | None = bounded(None, above=0, below=1)
    """Targets above it become 1, the others 0; None: they stay as they are."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return binary_cross_entropy(logits, targets, self.reduction, self.threshold)
