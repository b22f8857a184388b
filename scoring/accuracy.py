"""Accuracy, loss, calibration and confusions of a network on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix


@dataclass(frozen=True)
class Scores:
    """Percentages, but for the loss (cross-entropy in nats)."""

    metrics: dict[str, float]
    """top1, top5, loss, ece (15 bins, as usual) and ece_10 (10 bins, as the official Assemble-ResNet code)."""
    confusion: np.ndarray
    """How many pictures of class i were taken for class j (K, K); K are the network's outputs."""


def score(
    predict: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]], classes: int, offset: int = 0
) -> Scores:
    """Score a network.

    Args:
        predict: pictures (N, 3, H, W) -> logits (N, K).
        batches: pictures and labels (N,).
        classes: K.
        offset: outputs before that of label 0.
    """
    metrics: dict[str, Metric] = {
        "top1": MulticlassAccuracy(classes, top_k=1, average="micro"),
        "top5": MulticlassAccuracy(classes, top_k=min(5, classes), average="micro"),
        "loss": MeanMetric(nan_strategy="disable"),
        "ece": MulticlassCalibrationError(classes, n_bins=15),
        "ece_10": MulticlassCalibrationError(classes, n_bins=10),
    }
    confusion = MulticlassConfusionMatrix(classes)
    for images, labels in batches:
        logits = predict(images)
        labels = labels.to(logits.device) + offset
        for name, metric in metrics.items():
            if name == "loss":
                metric.to(logits.device).update(F.cross_entropy(logits, labels, reduction="none"))
            else:
                metric.to(logits.device).update(logits.softmax(1) if "ece" in name else logits, labels)
        confusion.to(logits.device).update(logits.argmax(1), labels)
    values = {name: float(metric.compute()) for name, metric in metrics.items()}
    return Scores(
        {name: value if name == "loss" else 100 * value for name, value in values.items()},
        confusion.compute().cpu().numpy(),
    )
