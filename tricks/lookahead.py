"""Lookahead: slow weights follow the trained ones, and every few steps training goes on from the slow ones.

Paper: Zhang et al. 2019 (arXiv 1907.08610), Algorithm 1: every k steps slow += alpha * (fast - slow), fast = slow.
Changes: the run: every ``every`` steps, and at the last one the slow weights are taken as they are.
Differs: in the paper alpha is constant, 0.5. Here, as in airbench (arXiv 2404.00498, section 3.4), the share that stays
is ``decay`` * progress ** ``power``: little at first, so that early training is not held back. ``decay=0.5 power=0`` is
the paper's. The optimizer's momentum stays; batch norm's statistics are averaged as well, as in airbench.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assemble.bounds import bounded
from tricks.base import CallbackTrick, register

if TYPE_CHECKING:
    from pytorch_lightning import Callback


@register
@dataclass(frozen=True)
class Lookahead(CallbackTrick):
    """Parameters of Lookahead."""

    every: int = bounded(5, least=1)
    """k: optimizer steps from one meeting of the weights to the next."""
    decay: float = bounded(0.95**5, above=0, below=1)
    """Share of the slow weights that stays at the end of the training."""
    power: float = bounded(3.0, least=0)
    """Of the progress (0 to 1) of the training, by which the share grows; 0: it is constant."""

    def share(self, progress: float) -> float:
        """Return the share of the slow weights that stays when so much of the training is over."""
        return self.decay * progress**self.power

    def callbacks(self) -> Sequence[Callback]:
        from lit_modules.lookahead import SlowWeights

        return [SlowWeights(self.every, self.share)]
