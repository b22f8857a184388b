"""Label smoothing: a little of the target goes to every class.

Paper: Szegedy et al. 2015 (arXiv 1512.00567), section 7; 0.1 in arXiv 2001.06268: +0.98 top-1 (Table 7, E2).
Changes: the dense targets of the loss: y -> y * (1 - smoothing) + smoothing / K.
Differs: Bag of Tricks spreads smoothing / (K - 1) over the wrong classes only; this is TensorFlow's rule, as official.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tricks.base import LossTrick, Strength, register, strength


def smooth(targets: Tensor, smoothing: float = 0.1) -> Tensor:
    """Turn dense targets (B, K) into smoothed dense targets (B, K).

    Linear, so it commutes with mixing.
    """
    return targets * (1 - smoothing) + smoothing / targets.shape[1]


@register
@dataclass(frozen=True)
class LabelSmoothing(LossTrick):
    """Parameters of label smoothing."""

    smoothing: Strength = strength(0.1, neutral=0.0, least=0, below=1)
    """Share of the target that is spread evenly over all classes."""

    def targets(self, targets: Tensor) -> Tensor:
        return smooth(targets, self.smoothing)
