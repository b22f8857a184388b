"""Dropout: in training, some of the features that the classifier sees are zeroed at random.

Paper: Hinton et al. 2012 (arXiv 1207.0580). In EfficientNet (arXiv 1905.11946, section 5) from 0.2 (B0) to 0.5 (B7); in
EfficientNetV2 (arXiv 2104.00298, Table 6) it grows with the images: ``rate={from: 0.1, to: 0.3, stages: 4}`` for S.
Changes: `before_classifier`, the pooled features right before the last linear layer.
Differs: what is kept is divided by its probability in training, instead of halving the weights in evaluation (the same
expectation; as everywhere today). Hidden layers are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assemble.models.spec import Spec
from tricks.base import ModelTrick, Strength, register, strength


class Dropout(nn.Module):
    """Features (B, C) -> the same, some of them zero. ``rate`` is a tensor: compiled code follows it."""

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(rate), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = 1 - self.rate
        return x * (torch.bernoulli(kept.expand(x.shape)) / kept).to(x.dtype)


@register
@dataclass(frozen=True)
class DropoutTrick(ModelTrick):
    """Parameters of dropout."""

    rate: Strength = strength(0.2, neutral=0.0, least=0, below=1)
    """Probability that a feature is zeroed."""

    def _module(self) -> nn.Module:
        return Dropout(self.at(0.0).rate)

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(before_classifier=self._module)

    def update(self, network: nn.Module) -> None:
        for module in network.modules():
            if isinstance(module, Dropout):
                module.rate.fill_(self.rate)
