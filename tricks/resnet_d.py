"""ResNet-D: three 3x3 convolutions as stem, average pooling in the shortcut.

Paper: He et al. 2018, Bag of Tricks for Image Classification with CNNs (arXiv 1812.01187), section 4.2; published gain
+0.50 top-1 on ResNet-50 (arXiv 2001.06268, Table 7, E1).
Changes: `stem` 7x7/2 conv -> 3x3/2, 3x3, 3x3 convs with width/2, width/2, width channels; `shortcut` strided 1x1 conv
-> 2x2 average pool with the stride, then 1x1 conv. A stem that is one 3x3 conv already (small images) stays.
``shortcut: false`` changes the stem alone: ResNet-C of the same section.
Differs: the official Assemble-ResNet code also pools in stage 1, where the stride is 1 (a 2x2 average with stride 1);
the Bag of Tricks paper and timm do not. ``pool_stage1`` is True, as official; False takes timm's resnet50d weights.
At the far edge of an odd map, the official code averages with zeros (``padding="tensorflow"``), timm leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.models.layers import conv, imagenet_stem, norm
from assemble.models.resnet import ResNetSpec
from assemble.models.spec import Spec
from tricks.base import ModelTrick, register


def deep_stem(spec: ResNetSpec) -> nn.Module:
    """Build the deep stem: (B, 3, H, W) -> (B, width, H/2, W/2)."""
    half = spec.width // 2
    return nn.Sequential(
        conv(3, half, 3, 2),
        norm(spec, half),
        spec.activation(),
        conv(half, half, 3),
        norm(spec, half),
        spec.activation(),
        conv(half, spec.width, 3),
    )


class ShortcutPool(nn.Module):
    """2x2 average with stride 1 or 2: (B, C, H, W) -> (B, C, ceil(H/s), ceil(W/s))."""

    def __init__(self, stride: int, tf_padding: bool) -> None:
        super().__init__()
        self.stride, self.tf_padding = stride, tf_padding

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            # The window hangs over the far edge and averages what lies inside, which is an average with the edge
            # repeated: SAME padding in TensorFlow.
            return F.avg_pool2d(F.pad(x, (0, 1, 0, 1), mode="replicate"), 2, 1)
        divisor = 4 if self.tf_padding else None  # counts the zeros beyond an odd map's edge, or not
        return F.avg_pool2d(x, 2, self.stride, ceil_mode=True, count_include_pad=False, divisor_override=divisor)


def pooled_shortcut(spec: ResNetSpec, in_channels: int, out_channels: int, stride: int, pool_stage1: bool) -> nn.Module:
    """Build an average pool, 1x1 conv with stride 1, batch norm."""
    pool = ShortcutPool(stride, spec.padding == "tensorflow") if stride > 1 or pool_stage1 else nn.Identity()
    return nn.Sequential(pool, conv(in_channels, out_channels, 1), norm(spec, out_channels))


@register
@dataclass(frozen=True)
class ResNetD(ModelTrick):
    """Parameters of ResNet-D."""

    yields_to: ClassVar[Mapping[str, str]] = {
        "big_little": "Big-Little brings its own pooled shortcut and trains unstably with the deep stem, so the "
        "paper's 'D + BL' has neither of ResNet-D's changes (arXiv 2001.06268; official code: use_resnet_d False)"
    }
    pool_stage1: bool = True
    """Average with stride 1 in the shortcut of stage 1 too, as the official code does."""
    shortcut: bool = True
    """Average in the shortcuts at all; false is ResNet-C."""

    def check(self) -> None:
        if not (self.pool_stage1 or self.shortcut):
            raise UserError("tricks.resnet_d.pool_stage1=false changes nothing beside shortcut=false: leave it out")

    def convert(self, spec: Spec) -> Spec:
        if not self.pool_stage1 and (spec.block == "basic" or not spec.residual):
            raise UserError(
                f"tricks.resnet_d.pool_stage1=false changes nothing in this {spec.name}, whose stage 1 has no shortcut "
                "of its own: leave it out"
            )
        if spec.residual and self.shortcut:
            spec = spec.replace(shortcut=partial(pooled_shortcut, pool_stage1=self.pool_stage1))
        return spec.replace(stem=deep_stem) if spec.stem is imagenet_stem else spec
