"""Layers for inference on a CPU: convolutions whose weights lie in memory as oneDNN's kernels read them, and means.

PyTorch hands oneDNN the weights in their plain layout, and each call reorders them first: at small batches a tenth of
the time of a network with as many weights as Assemble-ResNet-50. torch.compile's frozen graphs pack them once, with the
operators used here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assemble.models.layers import GlobalMean


class PackedConv2d(nn.Module):
    """What ``conv`` computes. Maps are channels last in memory.

    The packed layout suits one shape of maps, and is many times slower for others, so weights are packed anew where the
    shape changes, from the plain ones, which are kept.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.place = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._shape: torch.Size | None = None
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if x.shape != self._shape:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.place, list(x.shape))
            self._shape = x.shape
        return torch.ops.mkldnn._convolution_pointwise(x, self._packed, self.bias, *self.place, "none", [], "")


class PooledMean(nn.Module):
    """`GlobalMean` as an average pool: in channels last 2 (float32) to 10 times (bfloat16) as fast, on a GPU slower."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, x.shape[-2:])


def can_pack(network: nn.Module) -> bool:
    """Return True where the weights are on a CPU for which oneDNN has kernels of their precision."""
    weight = next(network.parameters())
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype is torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype is torch.float32


def pack(network: nn.Module) -> None:
    """Put packed convolutions and pooled means in the place of plain ones. Maps are channels last."""
    for name, module in list(network.named_modules()):
        if type(module) is GlobalMean:
            network.set_submodule(name, PooledMean())
        elif type(module) is nn.Conv2d and not isinstance(module.padding, str) and module.padding_mode == "zeros":
            network.set_submodule(name, PackedConv2d(module))
