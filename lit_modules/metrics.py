"""Accuracy, loss and calibration, added up over batches: the same numbers in training runs and in evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError


class RunningMean:
    """A mean that is summed up on the device and read when it is taken: reading every step would wait every step."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._count = 0

    def add(self, value: Tensor, count: int = 1) -> None:
        """Add the sum over ``count`` things."""
        self._sum = value if self._sum is None else self._sum + value
        self._count += count

    def state(self) -> tuple[float, int]:
        """Return the sum so far, and over how many things: for a checkpoint. Waits for the device."""
        return 0.0 if self._sum is None else float(self._sum), self._count

    def restore(self, state: tuple[float, int]) -> None:
        """Go on from a `state`."""
        total, self._count = state
        self._sum = torch.tensor(total) if self._count else None

    def take(self) -> float:
        """Return the mean since the last time, NaN of nothing, and begin anew."""
        mean = float("nan") if self._sum is None else float(self._sum) / self._count
        self._sum, self._count = None, 0
        return mean


def metrics(classes: int, **bins: int) -> nn.ModuleDict:
    """Build ``top1``, ``top5`` and ``loss`` for so many outputs, and calibration errors by name and bins."""
    return nn.ModuleDict(
        {
            "top1": MulticlassAccuracy(classes, top_k=1, average="micro"),
            "top5": MulticlassAccuracy(classes, top_k=min(5, classes), average="micro"),
            "loss": MeanMetric(nan_strategy="disable"),  # by default it leaves NaN out, and a lost run looks well
            **{name: MulticlassCalibrationError(classes, n_bins=count) for name, count in bins.items()},
        }
    )


def update(metrics: nn.ModuleDict, logits: Tensor, labels: Tensor) -> None:
    """Add a batch: logits (N, K) in float32, outputs that are right (N,)."""
    for name, metric in _items(metrics):
        if name == "loss":
            metric.update(F.cross_entropy(logits, labels, reduction="none"))
        else:
            metric.update(logits.softmax(1) if isinstance(metric, MulticlassCalibrationError) else logits, labels)


def computed(metrics: nn.ModuleDict) -> dict[str, Tensor]:
    """Return percentages, but for the loss (cross-entropy in nats), and reset all metrics."""
    values = {}
    for name, metric in _items(metrics):
        value = metric.compute()
        values[name] = value if name == "loss" else 100 * value
        metric.reset()
    return values


def _items(metrics: nn.ModuleDict) -> Iterator[tuple[str, Metric]]:
    return ((name, cast(Metric, metric)) for name, metric in metrics.items())
