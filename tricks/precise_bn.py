"""Precise batch norm: after each epoch its statistics are measured anew, for the weights as they then are.

Paper: Wu and Johnson 2021 (arXiv 2105.07576), section 3.1; He et al. 2015 (arXiv 1512.03385) measured them so, once,
after training (github.com/KaimingHe/deep-residual-networks, README).
Changes: the run: before each validation the running means and variances, which lag behind the weights, are replaced
by the means over ``batches`` batches of training images, augmented but not mixed, in training mode (dropout and the
like act). They are validated, saved and scored; training is not touched, since it never uses them.
Differs: the variance is the mean of the batches' variances, as in torch's ``update_bn``; the paper adds the variance
of the batches' means, at most 1 / (images in a batch) of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from assemble.bounds import bounded
from tricks.base import CallbackTrick, register

if TYPE_CHECKING:
    from pytorch_lightning import Callback


@register
@dataclass(frozen=True)
class PreciseBN(CallbackTrick):
    """Parameters of precise batch norm."""

    conflicts: ClassVar[Mapping[str, str]] = {
        "ema": "what is scored are averaged weights, with averaged statistics",
        "swa": "it measures the statistics of the averaged weights itself",
    }

    batches: int = bounded(200, least=1)
    """Batches, of each device, that are measured; an epoch's at most."""

    def callbacks(self) -> Sequence[Callback]:
        from lit_modules.batch_norm import PreciseStatistics

        return [PreciseStatistics(self.batches)]
