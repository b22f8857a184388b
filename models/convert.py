"""Published weights -> ours."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import UserError

# TensorFlow's names of a layer's variables, in creation order -> ours.
_PARTS = {
    nn.Conv2d: {"kernel": "weight"},
    nn.Linear: {"kernel": "weight", "bias": "bias"},
    nn.BatchNorm2d: {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
}


def execution_order(model: nn.Module, image_size: int = 64) -> list[tuple[str, nn.Module]]:
    """The layers with variables, (name, module), in the order in which a forward pass runs them."""
    shadow = copy.deepcopy(model).to("meta").eval()
    names = {module: name for name, module in shadow.named_modules()}
    order: list[tuple[str, nn.Module]] = []
    for module in shadow.modules():
        if type(module) in _PARTS:
            module.register_forward_pre_hook(lambda m, _: order.append((names[m], m)))
    with torch.no_grad():
        shadow(torch.empty(2, 3, image_size, image_size, device="meta"))
    return order


def from_official(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Variables of an official Assemble-ResNet (TensorFlow 1) checkpoint -> a state_dict for ``model``.

    TensorFlow numbers its variables as it creates them, which is the order of execution; our modules run in the same
    order, so the n-th layer of one is the n-th layer of the other, whatever the tricks.

    Args:
        model: a network with the checkpoint's architecture.
        arrays: name -> array in creation order. Kernels are HWIO (dense: IO). Optimizer slots and counters are skipped.

    Raises:
        UserError: the variables do not fit the model; says which and where.
    """
    variables = [
        (name, value)
        for name, value in arrays.items()
        if name.rpartition("/")[2].partition(":")[0] in {p for parts in _PARTS.values() for p in parts}
    ]
    state: dict[str, Tensor] = {}
    position = 0
    own = model.state_dict()
    for layer, module in execution_order(model):
        for tf_part, part in _PARTS[type(module)].items():
            key = f"{layer}.{part}"
            if position == len(variables):
                raise UserError(f"the checkpoint ends before {key}: it has {position} variables, the model wants more")
            name, value = variables[position]
            position += 1
            tensor = torch.from_numpy(np.array(value, dtype=np.float32))
            if tensor.ndim == 4:
                tensor = tensor.permute(3, 2, 0, 1).contiguous()  # HWIO -> OIHW
            elif tensor.ndim == 2:
                tensor = tensor.t().contiguous()
            found = name.rpartition("/")[2].partition(":")[0]
            if found != tf_part or tensor.shape != own[key].shape:
                raise UserError(
                    f"variable {name} {tuple(np.shape(value))} of the checkpoint does not fit {key} "
                    f"{tuple(own[key].shape)}: build the model with the checkpoint's depth, width, classes and tricks"
                )
            state[key] = tensor
        if isinstance(module, nn.BatchNorm2d):
            state[f"{layer}.num_batches_tracked"] = torch.tensor(0)
    if position < len(variables):
        raise UserError(f"the model has no place for variable {variables[position][0]} of the checkpoint")
    state["tf_padding"] = torch.tensor(True)
    return state
