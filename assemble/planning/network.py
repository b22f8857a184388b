"""The network's spec before any trick, and the data settings with those tricks in them that change them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from assemble.schema import Config, DataConfig, Library, Stem

if TYPE_CHECKING:
    from assemble.models.spec import Spec
    from tricks.base import Trick


def base_spec(cfg: Config, num_classes: int) -> Spec:
    """The network before any trick."""
    from assemble.models.catalogue import TIMM
    from assemble.models.families import spec_of

    model = cfg.model
    return spec_of(
        model.name if model.library is Library.catalogue else f"{TIMM}{model.name}",
        num_classes=num_classes,
        image_size=cfg.data.image_size,
        width=model.width,
        blocks=model.blocks and tuple(model.blocks),
        stem=None if model.stem is Stem.auto else model.stem.value,
        padding=model.padding and model.padding.value,
        init=model.init and model.init.value,
        bn_momentum=model.bn_momentum,
        bn_eps=model.bn_eps,
    )


def data_settings(data: DataConfig, tricks: Iterable[Trick]) -> DataConfig:
    """The ``data`` part of the configuration with those tricks in it that change it."""
    from tricks.base import DataTrick

    for trick in tricks:
        data = trick.data_settings(data) if isinstance(trick, DataTrick) else data
    return data
