"""Anti-aliased down-sampling: a fixed blur before every second pixel is dropped.

Paper: Zhang 2019, Making Convolutional Networks Shift-Invariant Again (arXiv 1904.11486). Placement from
arXiv 2001.06268, Table 3, row A4: behind the strided 3x3 convolutions only, filter 3, +0.37 top-1 alone.
Changes: `downsample` (position ``conv``): the strided 3x3 convolution, or what stands in its place, runs with stride 1,
and after its ReLU comes a blur with the stride; `shortcut` (position ``projection``): blur with the stride before a
1x1 convolution with stride 1; `pool` (position ``max_pool``): max-pool with stride 1, then a blur with stride 2.
Differs: position ``max_pool`` is documented but absent in the official code; it follows Zhang's paper (section 3.2:
the same max-pool with stride 1, then the blur), so the window stays 3x3. Zhang's ResNet code takes 2x2 without padding.
An even filter pads one pixel more at the far side (as Zhang's code); on the even maps that the official code can run
that changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import UserError
from models.layers import conv, norm, projection
from models.spec import Spec
from tricks.base import ModelTrick, register

POSITIONS = ("conv", "projection", "max_pool")


def binomial(size: int) -> Tensor:
    """The outer product of row ``size`` of Pascal's triangle with itself, (size, size), summing to one."""
    row = torch.tensor([math.comb(size - 1, k) for k in range(size)], dtype=torch.float64)
    kernel = torch.outer(row, row)
    return (kernel / kernel.sum()).float()


class Blur(nn.Module):
    """Each channel blurred and sub-sampled: (B, C, H, W) -> (B, C, ceil(H/stride), ceil(W/stride)). No parameters."""

    kernel: Tensor

    def __init__(self, channels: int, stride: int, filter_size: int) -> None:
        super().__init__()
        self.stride = stride
        near, far = (filter_size - 1) // 2, filter_size // 2
        self.pad = (near, far, near, far)
        # One plane for each channel of a depth-wise convolution; not in the state_dict.
        kernel = binomial(filter_size).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.pad[1] == 0:
            return x[..., :: self.stride, :: self.stride]
        if min(x.shape[-2:]) <= self.pad[1]:
            size, least = "x".join(map(str, x.shape[-2:])), self.pad[1] + 1
            raise UserError(
                f"tricks.anti_alias.filter_size={self.kernel.shape[-1]} needs maps of at least {least}x{least} pixels, "
                f"but one is {size}: take larger pictures or a smaller filter"
            )
        padded = F.pad(x, self.pad, mode="reflect")
        return F.conv2d(padded, self.kernel.to(x.dtype), stride=self.stride, groups=x.shape[1])


def blurred_projection(spec: Spec, in_channels: int, out_channels: int, stride: int, filter_size: int) -> nn.Module:
    """Blur with the stride, 1x1 conv, batch norm; the plain projection where nothing is sub-sampled."""
    if stride == 1:
        return projection(spec, in_channels, out_channels, stride)
    return nn.Sequential(
        Blur(in_channels, stride, filter_size), conv(in_channels, out_channels, 1), norm(spec, out_channels)
    )


def blurred_max_pool(spec: Spec, filter_size: int) -> nn.Module:
    """3x3 max-pool with stride 1, then a blur with stride 2."""
    return nn.Sequential(nn.MaxPool2d(3, 1, padding=1), Blur(spec.width, 2, filter_size))


@register
@dataclass(frozen=True)
class AntiAlias(ModelTrick):
    """Parameters of anti-aliased down-sampling."""

    filter_size: int = 3
    """1 (no blur, sub-sampling only) to 7 taps."""
    positions: tuple[str, ...] = ("conv",)
    """Any of conv, projection, max_pool."""

    def check(self) -> None:
        if not 1 <= self.filter_size <= 7:
            raise UserError(f"tricks.anti_alias.filter_size must be 1 to 7, not {self.filter_size}")
        if not self.positions or set(self.positions) - set(POSITIONS):
            raise UserError(
                f"tricks.anti_alias.positions takes any of {', '.join(POSITIONS)}, not {list(self.positions)}"
            )

    def convert(self, spec: Spec) -> Spec:
        if "conv" in self.positions:
            spec = spec.replace(downsample=partial(Blur, filter_size=self.filter_size))
        if "projection" in self.positions:
            if spec.shortcut is not projection or not spec.residual:
                raise UserError(
                    f"tricks.anti_alias.positions: the shortcut of this {spec.name} is no strided 1x1 convolution, so "
                    "there is nothing to blur at position projection: leave it out"
                )
            spec = spec.replace(shortcut=partial(blurred_projection, filter_size=self.filter_size))
        if "max_pool" in self.positions:
            if spec.pool is None:
                raise UserError(
                    f"tricks.anti_alias.positions: this {spec.name} has no max-pool (model.stem=small): leave it out"
                )
            spec = spec.replace(pool=partial(blurred_max_pool, filter_size=self.filter_size))
        return spec
