"""Published weights -> ours."""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from assemble.errors import UserError

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
    """Return the layers with variables, (name, module), in the order in which a forward pass runs them."""
    return [(name, module) for name, module, _ in _executed(model, image_size)]


def _executed(model: nn.Module, image_size: int = 64) -> list[tuple[str, nn.Module, bool]]:
    """Return `execution_order`, with whether each layer's input is a map of 1x1, (B, C, 1, 1)."""
    shadow = copy.deepcopy(model).to("meta").eval()
    names = {module: name for name, module in shadow.named_modules()}
    order: list[tuple[str, nn.Module, bool]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        order.append((names[module], module, inputs[0].shape[2:] == (1, 1)))

    for module in shadow.modules():
        if type(module) in _PARTS:
            module.register_forward_pre_hook(note)
    with torch.no_grad():
        shadow(torch.empty(2, 3, image_size, image_size, device="meta"))
    return order


def by_name(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return an official checkpoint's variables, which it lists by name, in the order in which they were created.

    TensorFlow numbers the layers of each kind (``conv2d_12``, ``batch_normalization_7``) within a scope, and the
    official scopes follow each other in alphabetical order. So each kind has an order of its own, and the model says
    how the kinds alternate. Moving averages of variables (``<name>/ExponentialMovingAverage``) take their places.

    Raises:
        UserError: the model has a layer of a kind of which the checkpoint has no more.
    """
    averages = {name.removesuffix(_AVERAGE): value for name, value in arrays.items() if name.endswith(_AVERAGE)}
    layers: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for name, value in arrays.items():
        scope, _, part = name.partition(":")[0].rpartition("/")
        if part in _TF_PARTS:
            layers[scope][name] = averages.get(name, value)
    waiting: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for scope in sorted(layers, key=_created):
        waiting[_kind(layers[scope]), bool(_ATTENTION.search(scope))].append(scope)

    ordered: dict[str, np.ndarray] = {}
    for name, module, pooled in _executed(model):
        kind = _KINDS[type(module)], pooled
        if not waiting[kind]:
            raise UserError(
                f"the checkpoint has no variables for {name}: build the model with the checkpoint's depth and tricks"
            )
        layer = layers[waiting[kind].pop(0)]
        ordered |= dict(sorted(layer.items(), key=lambda item: _TF_PARTS.index(_part(item[0]))))
    for scope in (scope for rest in waiting.values() for scope in rest):
        ordered |= layers[scope]
    return ordered


_TF_PARTS = list(dict.fromkeys(part for parts in _PARTS.values() for part in parts))
_KINDS = {nn.Conv2d: "conv", nn.Linear: "dense", nn.BatchNorm2d: "norm"}
_AVERAGE = "/ExponentialMovingAverage"
_ATTENTION = re.compile(r"_block(_\d+)?(/|$)")
"""Scopes of the layers that work on pooled maps."""


def _part(name: str) -> str:
    """Return the last part of a name: ``kernel`` of ``scope/conv2d/kernel:0``."""
    return name.rpartition("/")[2].partition(":")[0]


def _created(scope: str) -> list[tuple[str, int]]:
    """Return a sort key of a layer's scope: ``conv2d_12`` comes after ``conv2d_2``."""
    scope = re.sub(r"(stage\d+)_\d+/", r"\1/", scope)  # the second visit of a stage's scope
    found = (re.fullmatch(r"(.*?)(?:_(\d+))?", part) for part in scope.split("/"))
    return [(match[1], int(match[2] or 0)) for match in found if match]


def _kind(layer: Mapping[str, np.ndarray]) -> str:
    """Return the kind of the layer that has these variables."""
    kernels = [np.ndim(value) for name, value in layer.items() if _part(name) == "kernel"]
    return ("conv" if kernels[0] == 4 else "dense") if kernels else "norm"


def from_official(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Turn the variables of an official Assemble-ResNet (TensorFlow 1) checkpoint into a state_dict for ``model``.

    TensorFlow numbers its variables as it creates them, which is the order of execution; our modules run in the same
    order, so the n-th layer of one is the n-th layer of the other, whatever the tricks.

    Args:
        model: a network with the checkpoint's architecture.
        arrays: name -> array in creation order. Kernels are HWIO (dense: IO). Optimizer slots and counters are skipped.

    Raises:
        UserError: the variables do not fit the model; says which and where.
    """
    variables = [(name, value) for name, value in arrays.items() if _part(name) in _TF_PARTS]
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
            if _part(name) != tf_part or tensor.shape != own[key].shape:
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
