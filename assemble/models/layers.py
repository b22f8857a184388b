"""The plain parts of the networks. Shapes: (B, C, H, W); k is the kernel size, s the stride."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from assemble.models.spec import OwnSpec


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Build a convolution without bias, padded by (k - 1) / 2 zeros on each side."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=(kernel - 1) // 2, bias=False)


def norm(spec: OwnSpec, channels: int) -> nn.Module:
    """Build what normalises ``channels`` in a network of the spec: a batch norm, where no trick put another there."""
    if spec.norm:
        return spec.norm(spec, channels)
    return nn.BatchNorm2d(channels, eps=spec.bn_eps, momentum=spec.bn_momentum)


def imagenet_stem(spec: OwnSpec) -> nn.Module:
    """Build a 7x7/2 convolution: (B, 3, H, W) -> (B, width, H/2, W/2). Batch norm and ReLU follow in the network."""
    return conv(3, spec.width, 7, 2)


def small_stem(spec: OwnSpec) -> nn.Module:
    """Build a 3x3/1 convolution for images of some 32 pixels: (B, 3, H, W) -> (B, width, H, W)."""
    return conv(3, spec.width, 3)


class PaddedNetwork(nn.Module):
    """A network with layers that pad as PyTorch does or as TensorFlow does: those with an attribute ``tf_padding``.

    Published PyTorch weights were trained with PyTorch's padding, TensorFlow's with TensorFlow's. So the convention
    travels with the weights: a state_dict of a ``padding="tensorflow"`` network has the entry ``tf_padding``, and
    loading a state_dict sets the convention that its weights were trained with.
    """

    def set_padding(self, tensorflow: bool) -> None:
        """Make every layer that pads do so TensorFlow's way or PyTorch's, and note it in the state_dict."""
        self.register_buffer("tf_padding", torch.tensor(True) if tensorflow else None)
        for module in self.modules():
            if module is not self and hasattr(module, "tf_padding"):
                module.tf_padding = tensorflow  # type: ignore[assignment]

    def _load_from_state_dict(  # type: ignore[override] - the others are handed on as they come
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        self.set_padding(prefix + "tf_padding" in state_dict)
        super()._load_from_state_dict(state_dict, prefix, *args)


class MaxPool(nn.Module):
    """3x3/2 max-pool: (B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2)).

    PyTorch pads one pixel on every side. TensorFlow's SAME pads only what is missing, and at the far side first, so on
    even sizes its windows lie one pixel further to the right and down.
    """

    def __init__(self, spec: OwnSpec) -> None:
        super().__init__()
        self.tf_padding = spec.padding == "tensorflow"

    def forward(self, x: Tensor) -> Tensor:
        if self.tf_padding and (x.shape[-1] % 2 == 0 or x.shape[-2] % 2 == 0):
            # ceil_mode lets the last window hang over the far edge, which is SAME for an even size;
            # an odd size is padded by one pixel on both sides.
            h, w = x.shape[-2] % 2, x.shape[-1] % 2
            return F.max_pool2d(x, 3, 2, padding=(h, w), ceil_mode=True)
        return F.max_pool2d(x, 3, 2, padding=1)


class GlobalMean(nn.Module):
    """The mean of each channel: (B, C, H, W) -> (B, C, 1, 1). `assemble.models.onednn` has a faster one for CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class MeanPool(nn.Module):
    """The mean of each channel, as features: (B, C, H, W) -> (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Subsample(nn.Module):
    """Every ``stride``-th pixel: (B, C, H, W) -> (B, C, ceil(H/stride), ceil(W/stride))."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[..., :: self.stride, :: self.stride]


ONEDNN_BLOCK = 16
"""Channels that oneDNN's AVX-512 convolutions take at once (its AVX2 ones: 8)."""


def projection(spec: OwnSpec, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Build a 1x1 convolution with the block's stride, and batch norm (option B of He et al. 2015)."""
    layers = _pointwise(in_channels, out_channels, stride)
    layers["1"] = norm(spec, out_channels)
    return nn.Sequential(layers)


def pointwise(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Build a 1x1 convolution: (B, C, H, W) -> (B, out_channels, ceil(H/s), ceil(W/s))."""
    layers = _pointwise(in_channels, out_channels, stride)
    return nn.Sequential(layers) if len(layers) > 1 else layers["0"]


def _pointwise(in_channels: int, out_channels: int, stride: int) -> OrderedDict[str, nn.Module]:
    """Build a 1x1 convolution, "0", behind what it needs to be computed safely."""
    layers = OrderedDict[str, nn.Module]()
    if stride > 1 and in_channels < ONEDNN_BLOCK:
        # On a CPU and in channels-last, oneDNN's weight gradient of a strided 1x1 convolution with fewer channels than
        # a block writes past its workspace: a segmentation fault, or worse, at some batch sizes (torch 2.14,
        # https://github.com/uxlfoundation/oneDNN/issues/6035). Taking the pixels first gives the same numbers. Wider
        # layers do without, since there the copy of the pixels costs time. Named, so that "0" stays the convolution.
        layers["subsample"] = Subsample(stride)
        stride = 1
    layers["0"] = conv(in_channels, out_channels, 1, stride)
    return layers


class ZeroPadShortcut(nn.Module):
    """Sub-sampled identity, the missing channels zero (option A of He et al. 2015: no parameters)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))


def zero_pad(spec: OwnSpec, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Build a `ZeroPadShortcut`."""
    return ZeroPadShortcut(in_channels, out_channels, stride)
