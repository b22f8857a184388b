"""Which part of a network is its classifier, asked of the network or of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from assemble.errors import UserError

NAMES = ("fc", "classifier", "head.fc", "head")
"""What our networks and timm's call it."""


def classifiers(network: nn.Module) -> list[nn.Module]:
    """Return the classifiers that a network names by timm's ``get_classifier``: one, of some models two, or none."""
    found: Any = network.get_classifier() if hasattr(network, "get_classifier") else ()  # type: ignore[operator]
    return [module for module in (found if isinstance(found, tuple) else (found,)) if isinstance(module, nn.Module)]


def classifier_keys(network: nn.Module) -> set[str]:
    """Return the classifier's entries of the state_dict; empty where the network does not say."""
    found = classifiers(network)
    return {
        f"{name}.{key}" for name, module in network.named_modules() if module in found for key in module.state_dict()
    }


def classifier_weight(weights: Mapping[str, Any]) -> str:
    """Return the name of the classifier's matrix (K, C) among weights; elsewhere called, the last matrix.

    Args:
        weights: a state_dict, or the variables of a TensorFlow checkpoint, whose matrices are (C, K).

    Raises:
        UserError: there is no matrix.
    """
    named = [f"{name}.weight" for name in NAMES if f"{name}.weight" in weights]
    matrices = [name for name, value in weights.items() if value.ndim == 2]
    if not (named or matrices):
        raise UserError("the weights have no classifier: give those of a whole network")
    return named[0] if named else matrices[-1]


def output_count(weights: Mapping[str, Any]) -> int:
    """Return K, the number of outputs of the network that the weights are of. Raises as `classifier_weight` does."""
    name = classifier_weight(weights)
    return weights[name].shape[1 if name.partition(":")[0].endswith("/kernel") else 0]
