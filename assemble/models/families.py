"""From a model's name to its spec: the catalogue's entry says which family builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from assemble.errors import UserError
from assemble.models.catalogue import (
    CATALOGUE,
    TIMM,
    EfficientNetEntry,
    Entry,
    ForeignEntry,
    MobileNetEntry,
    ResNetEntry,
    TimmEntry,
)
from assemble.models.spec import Spec
from assemble.plugins import provided
from assemble.suggest import suggest


def spec_of(name: str, *, num_classes: int = 1000, target: str | None = None, **fields: Any) -> Spec:
    """Return the untouched spec of a model: of the catalogue or a plug-in by its name, of timm's by ``timm:NAME``.

    Args:
        name: the model.
        target: dotted path of what builds it, where it is none of these.
        num_classes: outputs.
        fields: what its family lets one choose, see `create_model`; None is the model's own value.

    Raises:
        UserError: there is no model, or no field to be chosen, of that name; a value that cannot be.
    """
    entry: Entry
    if target is not None:
        entry = ForeignEntry("", target)
    elif isinstance(name, str) and name.startswith(TIMM):
        entry = TimmEntry("", name.removeprefix(TIMM))
    elif name in list(CATALOGUE):  # a list asks for no hash
        entry = CATALOGUE[name]
    elif name in list(provided("models")):
        entry = ForeignEntry("", provided=provided("models")[name])
    else:
        raise UserError(suggest("model", name, [*CATALOGUE, *provided("models")]))
    chosen = {field: value for field, value in fields.items() if value is not None and value != {}}
    for field in fields:
        if field not in CHOSEN:
            raise UserError(suggest("field of a model", field, ["num_classes", *entry.chosen]))
    for field in chosen:
        if field not in entry.chosen:
            takes = ", ".join(f"model.{f}" for f in entry.chosen if f != "image_size")
            raise UserError(f"{name} has no {field} to choose: leave model.{field} out (it takes {takes})")
    return _family(entry)(entry, name=name, num_classes=num_classes, **chosen)


def timm_name(name: str) -> str | None:
    """Return timm's name of the network of the catalogue that computes as ours does, so that its weights are for it."""
    entry = CATALOGUE.get(name)
    if isinstance(entry, TimmEntry):
        return entry.model
    if isinstance(entry, EfficientNetEntry) and entry.blocks:
        return f"tf_{name}"  # those with TensorFlow's padding and epsilon
    if isinstance(entry, MobileNetEntry):
        return "mobilenetv1_100"
    ours = isinstance(entry, ResNetEntry) and entry.stem == "imagenet" and entry.residual and not entry.early_stride
    return name if ours else None


def _family(entry: Entry) -> Callable[..., Spec]:
    if isinstance(entry, ResNetEntry):
        from assemble.models.resnet import resnet_spec

        return resnet_spec
    if isinstance(entry, MobileNetEntry):
        from assemble.models.mobilenet import mobilenet_spec

        return mobilenet_spec
    if isinstance(entry, EfficientNetEntry):
        from assemble.models.efficientnet import efficientnet_spec

        return efficientnet_spec
    if isinstance(entry, ForeignEntry):
        from assemble.models.foreign import foreign_spec

        return foreign_spec
    from assemble.models.from_timm import timm_spec

    return timm_spec


CHOSEN = tuple(dict.fromkeys(field for entry in CATALOGUE.values() for field in entry.chosen))
"""Fields that may be chosen by name; the places are the tricks', the rest the catalogue's."""
