"""The optimizer, and what weight decay acts on."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from conf.schema import DecayRule, OptimConfig
from core.errors import UserError
from core.names import suggest

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def parameter_groups(model: nn.Module, weight_decay: float, rule: DecayRule) -> list[dict[str, Any]]:
    """Trainable parameters in two groups, with and without weight decay; found by module type, never by name.

    ``official``: batch norm is spared, every bias outside it is decayed (arXiv 2001.06268's code: 1/2 wd |v|^2 over all
    variables whose name lacks batch_normalization, so the classifier's bias too). ``weights``: norms and all biases are
    spared. ``all``: nothing is.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            spare = isinstance(module, NORMS) or (rule is DecayRule.weights and name.endswith("bias"))
            (spared if spare and rule is not DecayRule.all else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, cfg: OptimConfig) -> torch.optim.Optimizer:
    """SGD with momentum. Weight decay is coupled: it enters the momentum, as in the official code's loss term."""
    if cfg.name != "sgd":
        raise UserError(suggest("optimizer", cfg.name, ["sgd"]))
    groups = parameter_groups(model, cfg.weight_decay, cfg.decay_rule)
    return torch.optim.SGD(groups, lr=cfg.lr, momentum=cfg.momentum, nesterov=cfg.nesterov)
