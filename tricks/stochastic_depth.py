"""Stochastic depth: in training, blocks are skipped at random, for each picture on its own.

Paper: Huang et al. 2016 (arXiv 1603.09382); the linear rule of section 3: block l of L survives with 1 - l / L * rate.
Changes: `branch`, the residual branch right before the addition.
Differs: the branch of a survivor is divided by its probability in training, instead of being scaled at evaluation
(the same expectation; as in timm and EfficientNet).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from core.errors import UserError
from models.spec import Site, Spec
from tricks.base import ModelTrick, register


class DropPath(nn.Module):
    """Zeroes the whole branch (B, C, H, W) of some pictures and scales up the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(1 - self.rate)
        return x * keep.div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"


@register
@dataclass(frozen=True)
class StochasticDepth(ModelTrick):
    """Parameters of stochastic depth."""

    rate: float = 0.1
    """Probability that the last block is skipped; earlier ones proportionally less."""

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise UserError(f"tricks.stochastic_depth.rate must lie between 0 and 1, not {self.rate}")

    def _branch(self, site: Site) -> nn.Module:
        return DropPath(self.rate * site.depth)

    def convert(self, spec: Spec) -> Spec:
        if not spec.residual:
            raise UserError(f"stochastic_depth needs shortcuts to take instead of a block: {spec.name} has none")
        return spec.replace(branch=self._branch)
