"""Learning rates by optimizer step, as fractions of the peak.

The rules are those of the official Assemble-ResNet code (functions/model_fns.py): a linear warm-up from 0, per step,
and then the decay over the remaining steps. ``batches_per_epoch`` is images / batch and need not be whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import UserError
from core.names import suggest

SCHEDULES = ("cosine", "step", "constant")


@dataclass(frozen=True)
class Schedule:
    """The factor of the peak learning rate for each optimizer step, counted from 0."""

    kind: str
    batches_per_epoch: float
    epochs: float
    warmup_epochs: float = 0.0
    milestones: Sequence[float] = ()
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise UserError(suggest("optim.schedule", self.kind, SCHEDULES))
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise UserError(
                f"optim.warmup_epochs={self.warmup_epochs:g} does not fit into trainer.max_epochs={self.epochs:g}"
            )

    @property
    def warmup_steps(self) -> int:
        """Steps before the peak."""
        return int(self.batches_per_epoch * self.warmup_epochs)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return int(self.batches_per_epoch * self.epochs)

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return step / self.warmup_steps
        if self.kind == "cosine":
            decay_steps = max(1, self.total_steps - self.warmup_steps)
            progress = min((step - self.warmup_steps) / decay_steps, 1.0)
            return 0.5 * (1 + math.cos(math.pi * progress))
        if self.kind == "step":
            # A boundary belongs to the interval before it, as in TensorFlow's piecewise_constant.
            passed = sum(step > int(self.batches_per_epoch * epoch) for epoch in self.milestones)
            return self.gamma**passed
        return 1.0
