"""Where other projects' checkpoints have their weights: timm, torchvision's references, Composer, Lightning."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from torch import Tensor

PLAIN = ("state_dict", "model", "model_state_dict", "net", "network")
"""Under which the weights lie that were trained."""
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict")
"""Under which their moving average lies: timm's and torchvision's names first."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DistributedDataParallel, torch.compile, Lightning modules and their users put before every name."""
HARMLESS: list[Any] = [Namespace]
"""Classes of the standard library that hold values alone, and that timm and torchvision put beside the weights."""


def kinds_of(content: Any) -> dict[bool, dict[str, Tensor]]:
    """Return the state_dicts of what a file holds: under True the average of the weights, under False the weights."""
    if not isinstance(content, Mapping):
        return {}
    if _is_state(content):
        return {False: bare(content)}
    if isinstance(content.get("state"), Mapping):  # Composer's
        content = content["state"]
    found = {
        averaged: next((content[key] for key in keys if _is_state(content.get(key))), None)
        for averaged, keys in ((True, AVERAGED), (False, PLAIN))
    }
    return {averaged: bare(state) for averaged, state in found.items() if state}


def bare(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a state_dict under the network's own names: without what wraps it, and what lies beside it there."""
    named = {key: value for key, value in state.items() if key != "n_averaged"}  # of torch.optim.swa_utils
    # Of a Lightning module, its losses' and metrics' buffers are beside the network.
    inside = {key: value for key, value in named.items() if key.startswith("model.")}
    named = inside or named
    while prefix := next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in named)), None):
        named = {key.removeprefix(prefix): value for key, value in named.items()}
        if not all(named):
            break
    return named


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) and isinstance(inner, Tensor) for key, inner in value.items())
    )
