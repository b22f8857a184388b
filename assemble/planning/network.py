"""The network of a run: its spec before any trick, and what the tricks make of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assemble.errors import UserError
from assemble.planning.resolve import Recipe, resolve
from assemble.plugins import called
from assemble.schema import Config, Library, ModelConfig, Stem

if TYPE_CHECKING:
    from assemble.models.spec import Spec
    from tricks.base import Trick


def base_spec(cfg: Config, num_classes: int) -> Spec:
    """Return the network's spec before any trick."""
    from assemble.models.catalogue import TIMM
    from assemble.models.families import spec_of

    model = cfg.model
    name = model.name if model.library is Library.catalogue else f"{TIMM}{model.name}"
    return spec_of(
        called({"name": name, "_target_": model._target_}),
        num_classes=num_classes,
        target=model._target_,
        args=model.args,
        image_size=cfg.data.image_size,
        width=model.width,
        blocks=model.blocks and tuple(model.blocks),
        stem=None if model.stem is Stem.auto else model.stem.value,
        padding=model.padding and model.padding.value,
        init=model.init and model.init.value,
        bn_momentum=model.bn_momentum,
        bn_eps=model.bn_eps,
    )


def initial_weights(model: ModelConfig) -> str | None:
    """Return the weights that training starts from: ``model.checkpoint``, or timm's by name; None: random ones.

    Raises:
        UserError: ``model.pretrained`` for a network that timm has not, or beside ``model.checkpoint``.
    """
    from assemble.models.catalogue import TIMM
    from assemble.models.families import timm_name

    if model.pretrained is False:
        return model.checkpoint
    if model.checkpoint is not None:
        raise UserError("model.pretrained and model.checkpoint both name weights: give one of them")
    name = model.name if model.library is Library.timm else timm_name(model.name)
    if name is None or model._target_:
        raise UserError(
            f"there are no pretrained weights of {called(vars(model))}: name some with model.checkpoint=FILE"
        )
    if model.pretrained is True:
        return f"{TIMM}{name}"
    return f"{TIMM}{name.partition('.')[0]}.{model.pretrained}"


def resolve_network(asked: Config, changed: Config, tricks: Sequence[Trick], num_classes: int) -> Recipe:
    """Resolve the tricks over the network's spec.

    Args:
        asked: the user's configuration, by which the spec before any trick goes.
        changed: the same with the tricks in its ``data`` that change it, by which the sizes of images go.
        tricks: the selected tricks.
        num_classes: outputs.

    Raises:
        UserError: tricks that do not go together, a size of images that the network cannot take, or more stages to
            freeze than it has.
    """
    recipe = resolve(tricks, base_spec(asked, num_classes))
    if asked.model.freeze is not None:
        _check_freeze(recipe.spec, asked.model.freeze)
    for size in _image_sizes(changed, tricks):
        recipe.spec.check_size(size)
    return recipe


def _check_freeze(spec: Spec, stages: int) -> None:
    """Raise `UserError` where the network has fewer stages."""
    import torch

    from lit_modules.freezing import freeze

    with torch.device("meta"):
        freeze(spec.build(), stages)


def _image_sizes(cfg: Config, tricks: Sequence[Trick]) -> list[int]:
    """Return the sides of the images at the beginning and the end of training, and of those that are scored."""
    from tricks.base import DataTrick

    sizes = {cfg.data.scored_size}
    for progress in (0.0, 1.0):
        size, acting = cfg.data.image_size, [t.at(progress) for t in tricks if isinstance(t, DataTrick)]
        for trick in acting:
            size = trick.size(size)
        for trick in acting:
            size = trick.smallest(size)
        sizes.add(size)
    return sorted(sizes)
