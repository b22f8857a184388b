"""What a network costs: parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from assemble.errors import UserError

if TYPE_CHECKING:
    from assemble.models.spec import Spec


T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Of one image's forward pass."""

    params: int
    macs: int
    """Multiply-adds of convolutions, linear layers and attention: the papers' FLOPs."""


LEFT = {
    torch.ops.aten.mm.default: 0,
    torch.ops.aten.bmm.default: 0,
    torch.ops.aten.addmm.default: 1,
    torch.ops.aten.baddbmm.default: 1,
}
"""Position of the left factor among the arguments of a matrix product."""


def cost_of(spec: Spec, image_size: int) -> Cost:
    """Return the cost of a spec at (3, image_size, image_size).

    Found on the meta device: nothing is computed or allocated.

    Fixed blurs (anti-aliasing) are no layers of weights, but are counted: they are convolutions.
    """
    return on_shapes(spec, image_size, count_cost)


def on_shapes(spec: Spec, image_size: int | None, ask: Callable[[nn.Module, Tensor], T]) -> T:
    """Return what ``ask`` finds of the network of a spec and one image (1, 3, H, W), both on the meta device.

    Nothing is computed or allocated there. Other people's code may want values, which are not there either: then both
    are on the CPU, and what is drawn for them does not move the run's random numbers.
    """
    size = image_size or 1
    try:
        with torch.device("meta"), torch.no_grad():
            return ask(spec.build().eval(), torch.empty(1, 3, size, size))
    except UserError:
        raise
    except Exception:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            return ask(spec.build().eval(), torch.zeros(1, 3, size, size))


def count_cost(model: nn.Module, images: Tensor) -> Cost:
    """Return the cost of a built network on one image (1, 3, H, W), on the device of both.

    Attention is counted on the meta device only: elsewhere it is one operation whose products are not seen.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    macs = 0

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal macs
            if func is torch.ops.aten.native_batch_norm.default and args[0].is_meta:
                # Keeps the shape; PyTorch finds that out in Python, for longer than all the other layers together.
                return args[0], args[0].new_empty(0), args[0].new_empty(0)
            out = func(*args, **(kwargs or {}))
            if func is torch.ops.aten.convolution.default:
                macs += out.numel() * args[1][0].numel()  # outputs times weights of one filter
            elif func in LEFT:
                macs += out.numel() * args[LEFT[func]].shape[-1]
            return out

    with Counter(), torch.no_grad():
        model(images)
    return Cost(sum(p.numel() for p in model.parameters()), macs)
