"""EMA: what is validated and scored is a moving average of the weights.

Paper: Polyak and Juditsky 1992 for the idea; in image classifiers since Szegedy et al. 2015 (arXiv 1512.00567), section
8; decay 0.9999 in EfficientNet (arXiv 1905.11946) and ResNet-RS (arXiv 2103.07579).
Changes: the run: after an optimizer step average = decay * average + (1 - decay) * weights. The average is validated,
saved as the weights of best.ckpt and last.ckpt (so ``model.checkpoint=`` loads it) and scored; training goes on with
the raw weights, which are saved beside it.
Differs: nothing known from TensorFlow's ExponentialMovingAverage as used by EfficientNet: batch norm's statistics are
averaged too, the average begins with the initial weights, and ``warmup`` is its ``num_updates``. timm warms up by
another rule, 1 - (1 + t)^(-2/3). torchvision's ``--model-ema-decay 0.99998`` is no decay: in its recipe (batch 1024,
600 epochs, every 32 steps) the decay is 1 - 2e-5 * 1024 * 32 / 600 = 0.9989. A half-life of h updates (Composer) is the
decay 0.5^(1/h): 0.9931 for 100. The average is kept where the weights are and not in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from assemble.bounds import bounded
from assemble.errors import UserError
from tricks.base import CallbackTrick, PlannedRun, Strength, register, strength

if TYPE_CHECKING:
    from pytorch_lightning import Callback

    from lit_modules.classifier import Classifier


class Validate(Enum):
    """Which weights are validated, saved as the network's, and scored: the average, or the raw ones."""

    ema = "ema"
    raw = "raw"


def warmed_up(decay: float, update: int) -> float:
    """Return the decay of update number ``update``, from 1: a young average forgets its beginning faster."""
    return min(decay, (1 + update) / (10 + update))


@register
@dataclass(frozen=True)
class EMA(CallbackTrick):
    """Parameters of the average."""

    decay: Strength = strength(0.9999, neutral=0.0, least=0, below=1)
    """Share of the average that stays at an update."""
    warmup: bool = True
    """At most (1 + t) / (10 + t) at update t: without it a short run scores its initial weights."""
    every: int = bounded(1, least=1)
    """Optimizer steps from update to update."""
    validate: Validate = Validate.ema
    """What is validated, saved as the network's weights and scored: `ema`, or `raw` (the average is saved beside)."""

    def check_run(self, run: PlannedRun) -> None:
        steps = (run.steps_per_epoch or self.every) * run.cfg.trainer.max_epochs
        if steps < self.every:
            raise UserError(f"tricks.ema.every={self.every} is more than the run's {steps} steps: choose fewer")

    def _share(self, update: int, module: Classifier) -> float:
        if module.global_step % self.every:
            return 0.0
        decay = self.at(module.progress).decay
        return 1 - (warmed_up(decay, update) if self.warmup else decay)

    def callbacks(self) -> Sequence[Callback]:
        from lit_modules.averaging import WeightAverage

        return [WeightAverage(self._share, scored=self.validate is Validate.ema)]
