"""SWA: the last part of training at a high learning rate, and the mean of the weights it passes.

Paper: Izmailov et al. 2018 (arXiv 1803.05407), Algorithm 1.
Changes: the run: from ``start`` on the learning rate leaves its schedule, constant or falling in cycles, and after each
cycle the weights enter an equal mean. Batch norm's statistics of the mean are measured anew each time, in a pass over
the epoch's training images, augmented but not mixed, in training mode (dropout and the like act). From the first
cycle on the mean is validated, saved as the weights of best.ckpt and last.ckpt (so ``model.checkpoint=`` loads it) and
scored; before, the raw weights are.
Differs: the paper measures the statistics once, at the end; here whenever the mean changes, so that what is validated
is what would be scored, for a forward pass over the training set each time. The paper's learning rate falls linearly
to the constant; here it changes at ``start``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from assemble.bounds import bounded
from assemble.errors import UserError, require
from tricks.base import CallbackTrick, PlannedRun, register

if TYPE_CHECKING:
    from pytorch_lightning import Callback

    from lit_modules.classifier import Classifier


@register
@dataclass(frozen=True)
class SWA(CallbackTrick):
    """Parameters of the averaging."""

    conflicts: ClassVar[Mapping[str, str]] = {"ema": "both say which average of the weights is scored"}

    start: float = bounded(0.75, least=0, below=1)
    """Share of the epochs that is trained as without it."""
    lr: float = bounded(0.5, above=0)
    """Learning rate at the beginning of each cycle, as a share of the peak (``optim.lr``)."""
    low: float | None = bounded(None, above=0)
    """Share of the peak to which it falls linearly within a cycle; None: it is constant."""
    every: int = bounded(1, least=1)
    """Epochs of a cycle: the weights at its end enter the mean."""

    def check(self) -> None:
        below = self.low is None or self.low < self.lr
        require((below, f"tricks.swa.low must be below tricks.swa.lr={self.lr}, or null, not {self.low}"))

    def _first(self, epochs: int) -> int:
        """Return the first epoch of the last part."""
        return round(self.start * epochs)

    def check_run(self, run: PlannedRun) -> None:
        epochs = run.cfg.trainer.max_epochs
        means = (epochs - self._first(epochs)) // self.every
        if means < 2:
            raise UserError(
                f"swa would average the weights of {means} epoch{'s' * (means != 1)}, at least 2 are needed: raise "
                f"trainer.max_epochs={epochs}, or lower tricks.swa.start or tricks.swa.every"
            )

    def _cycle(self, module: Classifier) -> int | None:
        """Return the epoch within its cycle, from 0; None before the last part."""
        assert module.trainer.max_epochs is not None
        epoch = module.current_epoch - self._first(module.trainer.max_epochs)
        return None if epoch < 0 else epoch % self.every

    def _share(self, update: int, module: Classifier) -> float:
        ends = self._cycle(module) == self.every - 1 and module.trainer.is_last_batch
        return 1 / update if ends else 0.0

    def _lr(self, module: Classifier) -> float | None:
        """Return the learning rate for the step that begins: ``low`` is reached in the cycle's last step."""
        epoch = self._cycle(module)
        if epoch is None or self.low is None:
            return None if epoch is None else self.lr
        steps = math.ceil(module.trainer.num_training_batches / module.trainer.accumulate_grad_batches)
        share = (epoch + (module.global_step % steps + 1) / steps) / self.every
        return self.lr + (self.low - self.lr) * share

    def callbacks(self) -> Sequence[Callback]:
        from lit_modules.averaging import WeightAverage
        from lit_modules.callbacks import LearningRate

        return [LearningRate(self._lr), WeightAverage(self._share, reestimate=True)]
