"""Composable, exact training techniques for image classifiers.

`create_model` is the way in for other people's code. It is imported late: this file is read at every start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line lists the catalogue without importing torch
    from torch import nn


def create_model(
    name: str,
    tricks: Iterable[str] | Mapping[str, Mapping[str, Any]] = (),
    num_classes: int = 1000,
    **fields: Any,
) -> nn.Module:
    """Build a network with tricks: images (B, 3, H, W) -> logits (B, num_classes).

    >>> create_model("resnet50", tricks={"resnet_d": {}, "sk": {"reduction": 4}}, num_classes=10)  # doctest: +SKIP

    Args:
        name: a model of `assemble.models.catalogue`, or ``timm:NAME`` for any of timm's.
        tricks: names, or a mapping of name to parameters, in any order.
        num_classes: outputs.
        fields: what the model's family lets one choose: ``width`` (channels of the first stage), ``blocks`` (stages of
            an EfficientNet, see `assemble.models.efficientnet`), ``stem`` ("imagenet" or "small"), ``image_size``
            (side of the images, for networks that work at one size only; elsewhere small ones get the small stem), and
            the numerical conventions: ``bn_momentum``, ``bn_eps``, ``padding="tensorflow"``, ``init="torchvision"``.

    Raises:
        UserError: unknown model, trick or parameter; a value that cannot be; tricks that do not go together or find
            nothing to change.
    """
    from assemble.models.families import spec_of
    from assemble.planning.resolve import resolve
    from tricks import create

    return resolve(create(tricks), spec_of(name, num_classes=num_classes, **fields)).spec.build()
