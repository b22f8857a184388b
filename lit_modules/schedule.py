"""Learning rates by optimizer step, as fractions of the peak.

A linear warm-up per step and then the decay. Cosine, polynomial and linear spread over the steps that remain after the
warm-up, as in the official Assemble-ResNet code (functions/model_fns.py); step and exponential count from the beginning
of the run, as in that code and in EfficientNet's (tensorflow/tpu, models/official/efficientnet/utils.py).
``batches_per_epoch`` is images / batch and need not be whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assemble.errors import UserError
from assemble.schema import OptimConfig
from assemble.suggest import suggest

SCHEDULES = ("cosine", "step", "exponential", "polynomial", "linear", "constant")
GAMMA = {"step": 0.1, "exponential": 0.97}
"""Where ``optim.gamma`` is not given: He et al. 2015; EfficientNet."""


@dataclass(frozen=True)
class Schedule:
    """The factor of the peak learning rate for each optimizer step, counted from 0."""

    kind: str
    batches_per_epoch: float
    epochs: float
    warmup_epochs: float = 0.0
    milestones: Sequence[float] = ()  # step: the epochs after which the rate is multiplied by gamma
    gamma: float | None = None
    decay_epochs: float = 2.4  # exponential: it is multiplied by gamma each time that so many epochs have passed
    staircase: bool = True  # exponential: at once, not a little at every step
    power: float = 2.0  # polynomial
    start: float = 0.0  # where the warm-up begins
    floor: float = 0.0  # cosine, polynomial and linear end there; step and exponential stop there
    steps: int | None = None  # of the whole run; None: those of its epochs

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise UserError(suggest("optim.schedule", self.kind, SCHEDULES))
        if not 0 <= self.warmup_epochs <= self.epochs:
            length = f"max_epochs={self.epochs:g}" if self.steps is None else f"max_steps={self.steps}"
            raise UserError(f"optim.warmup_epochs={self.warmup_epochs:g} does not fit into trainer.{length}")

    @classmethod
    def of(cls, cfg: OptimConfig, batches_per_epoch: float, epochs: float, steps: int | None = None) -> Schedule:
        """Build the schedule of a configuration, whose learning rates are absolute.

        Where ``steps`` are given, these are the length of the run, and not ``epochs``.
        """
        return cls(
            cfg.schedule,
            batches_per_epoch,
            epochs if steps is None else steps / batches_per_epoch,
            cfg.warmup_epochs,
            cfg.milestones,
            cfg.gamma,
            cfg.decay_epochs,
            cfg.staircase,
            cfg.power,
            start=cfg.warmup_lr / cfg.lr,
            floor=cfg.min_lr / cfg.lr,
            steps=steps,
        )

    @property
    def warmup_steps(self) -> int:
        """Steps before the peak."""
        return int(self.batches_per_epoch * self.warmup_epochs)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return int(self.batches_per_epoch * self.epochs) if self.steps is None else self.steps

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.start + (1 - self.start) * step / self.warmup_steps
        if self.kind == "constant":
            return 1.0
        if self.kind in GAMMA:
            gamma = GAMMA[self.kind] if self.gamma is None else self.gamma
            return max(self.floor, gamma ** self._decays(step))
        decay_steps = max(1, self.total_steps - self.warmup_steps)
        progress = min((step - self.warmup_steps) / decay_steps, 1.0)
        if self.kind == "cosine":
            share = 0.5 * (1 + math.cos(math.pi * progress))
        else:
            share = (1 - progress) ** (self.power if self.kind == "polynomial" else 1)
        return self.floor + (1 - self.floor) * share

    def _decays(self, step: int) -> float:
        """Return how many times the rate has been multiplied by gamma."""
        if self.kind == "step":
            # A boundary belongs to the interval before it, as in TensorFlow's piecewise_constant.
            return sum(step > int(self.batches_per_epoch * epoch) for epoch in self.milestones)
        passed = step / (self.batches_per_epoch * self.decay_epochs)
        return math.floor(passed) if self.staircase else passed
