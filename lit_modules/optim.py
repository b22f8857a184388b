"""The optimizer, what weight decay acts on, and how the learning rate falls from the classifier to the stem.

Plain SGD is PyTorch's own; every other name is timm's (``lamb``, ``rmsproptf``, ``adamw``, ``lion``, ...), from its
factory. Parameter groups are ours. timm is imported only where it is used: that takes seconds.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from assemble.errors import UserError
from assemble.schema import DecayRule, OptimConfig
from assemble.suggest import suggest

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
TYPED = ("params", "lr", "weight_decay", "momentum")
"""Arguments of an optimizer that have a place of their own in the configuration."""


def parameter_groups(model: nn.Module, cfg: OptimConfig) -> list[dict[str, Any]]:
    """Return trainable parameters in groups with ``weight_decay`` and peak ``lr``, those of the classifier first.

    ``weight_decay`` by ``cfg.decay_rule``, decided by module type, never by name. ``official``: batch norm is spared,
    every bias outside it is decayed (arXiv 2001.06268's code: 1/2 wd |v|^2 over all variables whose name lacks
    batch_normalization, so the classifier's bias too). ``weights``: norms, all biases and what a network of timm's
    wants spared (tables of positions) are. ``all``: nothing.

    ``lr`` is ``cfg.lr * cfg.layer_decay ** distance``; the distance of the last layer is 0 (arXiv 2106.08254, BEiT).
    """
    depths = layer_depths(model) if cfg.layer_decay is not None else {}
    last = max(depths.values(), default=0)
    spared_by_network = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()  # type: ignore[operator]
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(path, recurse=False):
            if not parameter.requires_grad:
                continue
            bias = name.endswith("bias") or name in spared_by_network
            spare = isinstance(module, NORMS) or (cfg.decay_rule is DecayRule.weights and bias)
            key = last - depths.get(name, last), spare and cfg.decay_rule is not DecayRule.all
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": groups[distance, spared],
            "weight_decay": 0.0 if spared else cfg.weight_decay,
            "lr": cfg.lr * (cfg.layer_decay or 1.0) ** distance,
        }
        for distance, spared in sorted(groups)
    ]


def layer_depths(model: nn.Module, *, coarse: bool = False) -> dict[str, int]:
    """Return each parameter's layer by name: 0 for the stem, then blocks (``coarse``: stages), then the classifier.

    Raises:
        UserError: the network does not say (by timm's ``group_matcher``).
    """
    if not hasattr(model, "group_matcher"):
        raise UserError(
            f"model.freeze and optim.layer_decay: {type(model).__name__} does not say the order of its layers, "
            "set them to null"
        )
    from timm.models import group_parameters

    return group_parameters(model, model.group_matcher(coarse=coarse), reverse=True)  # type: ignore[operator]


def optimizer_arguments(cfg: OptimConfig) -> dict[str, Any]:
    """Return what the optimizer is given besides parameters, learning rate and weight decay.

    Raises:
        UserError: unknown optimizer, or an argument that it does not take.
    """
    known = inspect.signature(_optimizer_class(cfg.name)).parameters
    typed: dict[str, Any] = {"momentum": cfg.momentum} if "momentum" in known else {}
    if cfg.name == "sgd":
        typed["nesterov"] = cfg.nesterov
    elif cfg.nesterov:
        raise UserError(f"optim.nesterov is for optim.name=sgd, not for {cfg.name}: set it to false")
    for name in cfg.args:
        if name in TYPED or name in typed:
            raise UserError(f"optim.args.{name}: write optim.{name}")
        if name not in known:
            raise UserError(suggest(f"argument of optimizer {cfg.name}", name, [k for k in known if k not in TYPED]))
    return typed | cfg.args


def _optimizer_class(name: str) -> type[torch.optim.Optimizer]:
    if name == "sgd":
        return torch.optim.SGD
    from timm.optim import get_optimizer_class, get_optimizer_info, list_optimizers  # type: ignore[attr-defined]

    # Without those of packages that are not here, and those that need gradients of gradients.
    names = [str(n) for n in list_optimizers(exclude_filters=["bnb*", "fused*"])]
    names = [n for n in names if not get_optimizer_info(n).second_order]
    if name not in names:
        raise UserError(suggest("optimizer", name, names))
    return get_optimizer_class(name, bind_defaults=False)  # type: ignore[return-value]


def build_optimizer(model: nn.Module, cfg: OptimConfig) -> torch.optim.Optimizer:
    """Build the optimizer of the configuration for a network.

    Weight decay as each defines it. sgd, adam and rmsproptf add it to the gradient, as a term of the loss would (so
    the official Assemble-ResNet code), adamw takes it from the weights beside the step, lamb adds it to the step.

    Raises:
        UserError: unknown optimizer, or arguments that it does not take.
    """
    return _create(parameter_groups(model, cfg), cfg)


def check_optimizer(cfg: OptimConfig) -> None:
    """Raise `UserError` where `build_optimizer` would because of the configuration alone."""
    _create([{"params": [nn.Parameter(torch.zeros(1, 1))]}], cfg)


def _create(groups: list[dict[str, Any]], cfg: OptimConfig) -> torch.optim.Optimizer:
    arguments = {"lr": cfg.lr, "weight_decay": cfg.weight_decay, **optimizer_arguments(cfg)}
    try:
        if cfg.name == "sgd":  # in timm this name means Nesterov's
            return torch.optim.SGD(groups, **arguments)
        from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]

        return create_optimizer_v2(groups, cfg.name, **arguments)
    except (IndexError, TypeError, ValueError) as error:
        raise UserError(f"optimizer {cfg.name} refuses its arguments ({error}): see optim.args") from error
