"""Networks as they run fastest and exactly in inference: batch norms folded into convolutions, channels last.

A batch norm in evaluation mode is one multiplication and one addition per channel, which the convolution before it can
take over. Which convolution that is, is read off a forward pass, not off names or types of blocks, so networks of timm
fold as ours do.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode

from assemble.models.mobilenet import StridedConv3x3
from assemble.models.onednn import can_pack, pack
from assemble.processor import SLOW, emulates_bfloat16


class _Uses(TorchDispatchMode):
    """Counts how often each watched tensor is an argument of an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in (*args, *(kwargs or {}).values()):
            for tensor in value if isinstance(value, list | tuple) else (value,):
                if id(tensor) in self.count:
                    self.count[id(tensor)] += 1
        return func(*args, **(kwargs or {}))


def foldable(network: nn.Module, image_size: int) -> list[tuple[str, str]]:
    """Return the (convolution, batch norm) names where the norm alone reads what the convolution gives.

    One image (1, 3, image_size, image_size) passes through a copy on the meta device: nothing is computed.
    """
    from timm.layers.conv2d_same import Conv2dSame

    shadow = copy.deepcopy(network).to("meta", torch.float32).eval()
    names = {module: name for name, module in shadow.named_modules()}
    outputs: list[tuple[nn.Module, Tensor]] = []
    pairs: list[tuple[nn.Module, nn.Module, Tensor]] = []
    calls: list[nn.Module] = []
    uses = _Uses()

    def convolved(module: nn.Module, _: object, output: Tensor) -> None:
        calls.append(module)
        outputs.append((module, output))  # kept alive, so that no other tensor gets its id
        uses.count[id(output)] = 0

    def normalised(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append(module)
        pairs.extend((conv, module, output) for conv, output in outputs if output is inputs[0])

    for module in shadow.modules():
        # Others may make their weights anew in each forward pass.
        if type(module) in (nn.Conv2d, Conv2dSame, StridedConv3x3):
            module.register_forward_hook(convolved)
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            module.register_forward_pre_hook(normalised)
    with uses, torch.no_grad():
        shadow(torch.empty(1, 3, image_size, image_size, device="meta"))
    return [
        (names[conv], names[norm])
        for conv, norm, output in pairs
        if uses.count[id(output)] == 1 and calls.count(conv) == calls.count(norm) == 1
    ]


@torch.no_grad()
def fold(network: nn.Module, image_size: int = 224) -> nn.Module:
    """Return a copy of the network in evaluation mode whose batch norms are in the convolutions before them.

    The same function up to the rounding of float32; what is no pair of the two stays. The copy is not to be trained
    on, and does not take the state_dict of the original.

    Args:
        network: ours or timm's, images (B, 3, H, W) -> logits.
        image_size: side of images that it takes; any such side gives the same copy.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for conv_name, norm_name in foldable(network, image_size):
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        conv.weight, conv.bias = _fused(conv, norm)
        folded.set_submodule(norm_name, _rest(norm))
    return folded


def _fused(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Iterable[nn.Parameter]:
    """Return weight and bias of the two in one, computed in float64."""
    numbers = (conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    weight, bias, mean, var, gamma, beta = (None if value is None else value.double() for value in numbers)
    fused = fuse_conv_bn_weights(weight, bias, mean, var, norm.eps, gamma, beta)  # type: ignore[arg-type]
    return (nn.Parameter(value.to(conv.weight.dtype), requires_grad=False) for value in fused)


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """Return what a norm does beside normalising: timm's holds the activation."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(*norm.children())


class Inference(nn.Module):
    """A network in channels-last and any precision: float images (B, 3, H, W) -> float32 logits (B, K)."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dtype = dtype

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        images = images.to(dtype=self.dtype, memory_format=torch.channels_last)
        return self.network(images).float()


def for_inference(network: nn.Module, dtype: torch.dtype = torch.float32, image_size: int = 224) -> Inference:
    """Return the fastest exact way to run a trained network: folded, channels last, in ``dtype``; packed on a CPU.

    It runs without gradients, on the device where the network is now.

    Args:
        network: as for `fold`; it is left as it is.
        dtype: of weights and activations; bfloat16 is about twice as fast on a CPU that has it, and of one that has it
            not, where it is slower than float32, is warned.
        image_size: side of the images that it will see; others are taken as well.
    """
    fast = Inference(fold(network, image_size), dtype)
    if dtype is torch.bfloat16 and next(fast.network.parameters()).device.type == "cpu" and emulates_bfloat16():
        warnings.warn(f"{SLOW}: take torch.float32", stacklevel=2)
    if can_pack(fast.network):
        pack(fast.network)
    return fast
