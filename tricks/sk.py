"""Selective Kernel: two branches of a 3x3 convolution, mixed per channel by attention.

Paper: Li et al. 2019 (arXiv 1903.06586), in the cheaper form of arXiv 2001.06268, Table 2, configuration C3:
one 3x3 convolution with twice the channels instead of a 3x3 and a 5x5 one; published gain +1.62 top-1 alone (C3).
Changes: `operator`, a block's spatial 3x3 convolution with its batch norm and ReLU. There is no ReLU after the mix.
Differs: the SKNet paper has grouped 3x3 and dilated 3x3 branches and r = 16; this follows the official
Assemble-ResNet code (no groups, no dilation, r = 2, L = 32). ``form: two_convs`` is configuration C2, a 3x3 and a 5x5
convolution, which that code has not: as in SKNet (section 3.1) the 5x5 one is a 3x3 one with dilation 2. In a basic
block, which neither describes, it replaces the first 3x3 convolution (the strided one), as in timm's skresnet18.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial

import torch
from torch import Tensor, nn

from assemble.bounds import bounded
from assemble.models.layers import GlobalMean, conv, norm
from assemble.models.resnet import ResNetSpec
from assemble.models.spec import Spec
from tricks.base import ModelTrick, register


class Form(Enum):
    """What the two branches come from: one 3x3 convolution (C3), or a 3x3 and a 5x5 one (C2)."""

    one_conv = "one_conv"
    two_convs = "two_convs"


class TwoKernels(nn.Module):
    """3x3 and 5x5 (3x3 with dilation 2) side by side: (B, in_channels, H, W) -> (B, 2 * channels, H/s, W/s)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv3 = conv(in_channels, channels, 3, stride)
        self.conv5 = nn.Conv2d(in_channels, channels, 3, stride, padding=2, dilation=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv3(x), self.conv5(x)], 1)


class SelectiveKernel(nn.Module):
    """(B, in_channels, H, W) -> (B, channels, H/stride, W/stride)."""

    def __init__(
        self,
        spec: ResNetSpec,
        in_channels: int,
        channels: int,
        stride: int,
        reduction: int,
        min_attention: int,
        form: Form = Form.one_conv,
    ) -> None:
        super().__init__()
        inner = max(channels // reduction, min_attention)
        one = form is Form.one_conv
        self.conv = conv(in_channels, 2 * channels, 3, stride) if one else TwoKernels(in_channels, channels, stride)
        self.bn = norm(spec, 2 * channels)
        self.act = spec.activation()
        self.pool = GlobalMean()
        self.fc1 = conv(channels, inner, 1)
        self.bn_fc1 = norm(spec, inner)
        self.act_fc1 = spec.activation()
        self.fc2 = conv(inner, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(self.conv(x)))
        first, second = x.chunk(2, dim=1)
        pooled = self.pool(x)  # pooling before adding the halves is the same, and cheaper
        pooled = sum(pooled.chunk(2, dim=1))
        attention = self.fc2(self.act_fc1(self.bn_fc1(self.fc1(pooled))))
        a, b = attention.chunk(2, dim=1)
        # A softmax over two is a sigmoid of the difference; weight * first + (1 - weight) * second is one lerp.
        return torch.lerp(second, first, (a - b).sigmoid())


@register
@dataclass(frozen=True)
class SK(ModelTrick):
    """Parameters of Selective Kernel."""

    reduction: int = bounded(2, least=1)
    """r: channels over channels inside the attention."""
    min_attention: int = bounded(32, least=1)
    """L: the least number of channels inside the attention."""
    form: Form = Form.one_conv
    """one_conv or two_convs (see above)."""

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(
            operator=partial(
                SelectiveKernel, reduction=self.reduction, min_attention=self.min_attention, form=self.form
            )
        )
