"""Stochastic depth: in training, blocks are skipped at random, for each image on its own.

Paper: Huang et al. 2016 (arXiv 1603.09382); the linear rule of section 3: block l of L survives with 1 - l / L * rate.
Changes: `branch`, the residual branch right before the addition.
Differs: the branch of a survivor is divided by its probability in training, instead of being scaled at evaluation
(the same expectation; as in timm and EfficientNet). In timm's networks, EfficientNet among them, l counts from 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.models.spec import Site, Spec
from tricks.base import ModelTrick, Strength, register, strength


class DropPath(nn.Module):
    """Zeroes the whole branch (B, ...) of some images and scales up the others.

    ``depth`` is the block's share of the last block's rate. ``rate`` is a tensor: compiled code follows it.
    """

    rate: Tensor

    def __init__(self, rate: float, depth: float = 1.0) -> None:
        super().__init__()
        self.depth = depth
        self.register_buffer("rate", torch.tensor(rate * depth), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        survival = 1 - self.rate
        keep = torch.bernoulli(survival.expand(x.shape[0], *[1] * (x.ndim - 1)))
        return x * (keep / survival).to(x.dtype)

    def extra_repr(self) -> str:
        return f"depth={self.depth:.3f}"


@register
@dataclass(frozen=True)
class StochasticDepth(ModelTrick):
    """Parameters of stochastic depth."""

    rate: Strength = strength(0.1, neutral=0.0, least=0, below=1)
    """Probability that the last block is skipped; earlier ones proportionally less."""

    def _branch(self, site: Site) -> nn.Module:
        return DropPath(self.at(0.0).rate, site.depth)

    def convert(self, spec: Spec) -> Spec:
        if not spec.residual:
            raise UserError(f"stochastic_depth needs shortcuts to take instead of a block: {spec.name} has none")
        return spec.replace(branch=self._branch)

    def update(self, network: nn.Module) -> None:
        for module in network.modules():
            if isinstance(module, DropPath):
                module.rate.fill_(self.rate * module.depth)
