"""Anti-aliased down-sampling: a fixed blur before every second pixel is dropped.

Paper: Zhang 2019, Making Convolutional Networks Shift-Invariant Again (arXiv 1904.11486). Placement from
arXiv 2001.06268, Table 3, row A4: behind the strided 3x3 convolutions only, filter 3, +0.37 top-1 alone.
Changes: `downsample` (position ``conv``): the strided 3x3 convolution, or what stands in its place, runs with stride 1,
and after its ReLU comes a blur with the stride; `shortcut` (position ``projection``): blur with the stride before a
1x1 convolution with stride 1; `pool` (position ``max_pool``): max-pool with stride 1, then a blur with stride 2. With
``form: before`` it is `prefilter` in the place of `downsample`: the blur comes in front of the 3x3 convolution, which
keeps its stride and so its cost, as in Composer and FFCV (there with ``positions: [conv, projection]``).
Differs: position ``max_pool`` is documented but absent in the official code; it follows Zhang's paper (section 3.2:
the same max-pool with stride 1, then the blur), so the window stays 3x3. Zhang's ResNet code takes 2x2 without padding.
Form ``before`` pads with zeros, as those two do; Composer leaves layers of less than 16 channels alone.
An even filter pads one pixel more at the far side (as Zhang's code); on the even maps that the official code can run
that changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assemble.bounds import bounded
from assemble.errors import UserError
from assemble.models.layers import conv, norm, projection
from assemble.models.resnet import ResNetSpec
from assemble.models.spec import Spec
from tricks.base import ModelTrick, register

POSITIONS = ("conv", "projection", "max_pool")


class Form(Enum):
    """Where the blur of a strided 3x3 convolution stands: behind its ReLU (Zhang), or before it (Composer, FFCV)."""

    behind = "behind"
    before = "before"


def binomial(size: int) -> Tensor:
    """Return the outer product of row ``size`` of Pascal's triangle with itself, (size, size), summing to one."""
    row = torch.tensor([math.comb(size - 1, k) for k in range(size)], dtype=torch.float64)
    kernel = torch.outer(row, row)
    return (kernel / kernel.sum()).float()


class Blur(nn.Module):
    """Each channel blurred and sub-sampled: (B, C, H, W) -> (B, C, ceil(H/stride), ceil(W/stride)). No parameters.

    ``padding`` is "reflect" or, with zeros, "constant".
    """

    kernel: Tensor

    def __init__(self, channels: int, stride: int, filter_size: int, padding: str = "reflect") -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        near, far = (filter_size - 1) // 2, filter_size // 2
        self.pad = (near, far, near, far)
        # One plane for each channel of a depth-wise convolution; not in the state_dict.
        kernel = binomial(filter_size).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.pad[1] == 0:
            return x[..., :: self.stride, :: self.stride]
        if self.padding == "reflect" and min(x.shape[-2:]) <= self.pad[1]:
            size, least = "x".join(map(str, x.shape[-2:])), self.pad[1] + 1
            raise UserError(
                f"tricks.anti_alias.filter_size={self.kernel.shape[-1]} needs maps of at least {least}x{least} pixels, "
                f"but one is {size}: take larger images or a smaller filter"
            )
        padded = F.pad(x, self.pad, mode=self.padding)
        return F.conv2d(padded, self.kernel.to(x.dtype), stride=self.stride, groups=x.shape[1])


def blurred_projection(
    spec: ResNetSpec, in_channels: int, out_channels: int, stride: int, filter_size: int, padding: str
) -> nn.Module:
    """Build a blur with the stride, 1x1 conv, batch norm; the plain projection where nothing is sub-sampled."""
    if stride == 1:
        return projection(spec, in_channels, out_channels, stride)
    return nn.Sequential(
        Blur(in_channels, stride, filter_size, padding), conv(in_channels, out_channels, 1), norm(spec, out_channels)
    )


def blurred_max_pool(spec: ResNetSpec, filter_size: int, padding: str) -> nn.Module:
    """Build a 3x3 max-pool with stride 1, then a blur with stride 2."""
    return nn.Sequential(nn.MaxPool2d(3, 1, padding=1), Blur(spec.width, 2, filter_size, padding))


@register
@dataclass(frozen=True)
class AntiAlias(ModelTrick):
    """Parameters of anti-aliased down-sampling."""

    filter_size: int = bounded(3, least=1, most=7)
    """1 (no blur, sub-sampling only) to 7 taps."""
    positions: tuple[str, ...] = ("conv",)
    """Any of conv, projection, max_pool."""
    form: Form = Form.behind
    """behind or before (see above)."""

    def check(self) -> None:
        if not self.positions or set(self.positions) - set(POSITIONS):
            raise UserError(
                f"tricks.anti_alias.positions takes any of {', '.join(POSITIONS)}, not {list(self.positions)}"
            )

    def convert(self, spec: Spec) -> Spec:
        before = self.form is Form.before
        blur = {"filter_size": self.filter_size, "padding": "constant" if before else "reflect"}
        if "conv" in self.positions:
            if spec.early_stride:
                raise UserError(
                    f"tricks.anti_alias.positions: no 3x3 convolution of {spec.name} has a stride, so there is nothing "
                    "to blur at position conv: leave it out"
                )
            spec = (
                spec.replace(prefilter=partial(Blur, stride=1, **blur))
                if before
                else spec.replace(downsample=partial(Blur, **blur))
            )
        if "projection" in self.positions:
            if spec.shortcut is not projection or not spec.residual:
                raise UserError(
                    f"tricks.anti_alias.positions: the shortcut of this {spec.name} is no strided 1x1 convolution, so "
                    "there is nothing to blur at position projection: leave it out"
                )
            spec = spec.replace(shortcut=partial(blurred_projection, **blur))
        if "max_pool" in self.positions:
            if spec.pool is None:
                raise UserError(
                    f"tricks.anti_alias.positions: this {spec.name} has no max-pool (model.stem=small): leave it out"
                )
            spec = spec.replace(pool=partial(blurred_max_pool, **blur))
        return spec
