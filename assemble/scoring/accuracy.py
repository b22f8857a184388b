"""Accuracy, loss, calibration and confusions of a network on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from lit_modules.metrics import computed, metrics, update


@dataclass(frozen=True)
class Scores:
    """Percentages, but for the loss (cross-entropy in nats)."""

    metrics: dict[str, float]
    """top1, top5, loss, ece (15 bins, as usual) and ece_10 (10 bins, as the official Assemble-ResNet code)."""
    confusion: np.ndarray
    """How many images of class i were taken for class j (K, K); K are the network's outputs."""


def score(
    predict: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]], classes: int, offset: int = 0
) -> Scores:
    """Score a network.

    Args:
        predict: images (N, 3, H, W) -> logits (N, K).
        batches: images and labels (N,).
        classes: K.
        offset: outputs before that of label 0.
    """
    scores = metrics(classes, ece=15, ece_10=10)
    confusion = MulticlassConfusionMatrix(classes)
    for images, labels in batches:
        logits = predict(images)
        labels = labels.to(logits.device) + offset
        update(scores.to(logits.device), logits, labels)
        confusion.to(logits.device).update(logits.argmax(1), labels)
    return Scores(
        {name: float(value) for name, value in computed(scores).items()},
        confusion.compute().cpu().numpy(),
    )
