"""What a network's classifier is given in a forward pass: the features that a term of the loss may ask for."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from assemble.errors import UserError
from assemble.models.classifier import classifiers


class ClassifierInput:
    """Keeps the features (V * B, C) of the network's last forward pass.

    Args:
        network: one that names its classifier (timm's ``get_classifier``).

    Raises:
        UserError: it names none, or several.
    """

    def __init__(self, network: nn.Module) -> None:
        found = classifiers(network)
        if len(found) != 1:
            raise UserError(
                f"a trick's loss wants the features in front of the classifier, and {type(network).__name__} names "
                f"{len(found)} classifiers by get_classifier(): drop the trick, or take another network"
            )
        self._last: Tensor | None = None
        found[0].register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._last = inputs[0]

    def take(self, logits: Tensor) -> Tensor:
        """Return the features (V, B, C) that became these logits (V, B, K)."""
        assert self._last is not None
        return self._last.unflatten(0, logits.shape[:2]).float()
