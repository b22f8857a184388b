"""Squeeze-and-Excitation: each channel of a block's output is weighted by what the whole image says.

Paper: Hu et al. 2017 (arXiv 1709.01507); published gain +1.10 top-1 alone (arXiv 2001.06268, Table 2, C1).
Changes: `attention`, after a block's last batch norm (and DropBlock), before the addition.
Differs: no biases, as in the official Assemble-ResNet code (the paper's and timm's have them).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from assemble.bounds import bounded
from assemble.models.layers import GlobalMean, conv
from assemble.models.spec import Spec
from tricks.base import ModelTrick, register


class SqueezeExcitation(nn.Module):
    """x (B, C, H, W) * sigmoid(fc2(relu(fc1(mean of x over H, W))))."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.pool = GlobalMean()
        self.fc1 = conv(channels, inner, 1)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = conv(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(self.act(self.fc1(self.pool(x)))).sigmoid()


@register
@dataclass(frozen=True)
class SE(ModelTrick):
    """Parameters of Squeeze-and-Excitation."""

    reduction: int = bounded(16, least=1)
    """Channels over channels of the bottleneck between the two layers."""

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(attention=partial(SqueezeExcitation, reduction=self.reduction))
