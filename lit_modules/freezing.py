"""Layers that stay as they are while others are trained."""

from __future__ import annotations

from torch import nn

from assemble.errors import UserError
from lit_modules.optim import layer_depths


def freeze(network: nn.Module, stages: int) -> None:
    """Freeze the stem and the first ``stages`` stages: no gradients, and batch norm uses and keeps its statistics.

    What regularises at random there (dropped blocks) still does.

    Raises:
        UserError: the network has fewer stages, or does not say what they are.
    """
    depths = layer_depths(network, coarse=True)  # 0 is the stem, the last is the classifier
    most = max(depths.values()) - 1
    if stages > most:
        raise UserError(f"model.freeze={stages}: {type(network).__name__} has {most} stages: freeze fewer")
    for name, parameter in network.named_parameters():
        if depths[name] <= stages:
            parameter.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.weight.requires_grad:
            module.track_running_stats = False  # so torch's `update_bn` leaves it alone
    keep_frozen(network)


def keep_frozen(network: nn.Module) -> None:
    """Put the frozen batch norms back into evaluation mode, after ``network.train()``."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.track_running_stats:
            module.eval()
