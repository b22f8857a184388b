"""A network of the user's own: any ``nn.Module``, by a plug-in's name or by ``model._target_=my_package.nets.Net``.

It is called with ``num_classes`` and the keys of ``model.args``, and maps images (B, 3, H, W) to logits (B, K). Tricks
on images, batches, losses, optimizers and the run apply to all of them. A place for tricks on the network is there
where the class or function declares it: ``places = ("branch", ...)``, names of `assemble.models.spec.PLACES`, each a
keyword that is None, or what fills the place. `before_classifier` is there, too, where the network has timm's
``get_classifier``, which gives a linear layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, make_dataclass, replace
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.models.catalogue import ForeignEntry
from assemble.models.classifier import classifiers
from assemble.models.cost import on_shapes
from assemble.models.from_timm import BeforeClassifier
from assemble.models.spec import PLACES, Spec
from assemble.plugins import imported

Make = Callable[..., Any]
RESIDUAL = {"branch", "shortcut", "zero_gamma"}
"""Places that only blocks with a shortcut have."""


@dataclass(frozen=True)
class ForeignSpec(Spec):
    """A network of the user's, not built yet. Subclasses have a field for each place that it declares."""

    declared: ClassVar[tuple[str, ...]] = ()
    make: Make = nn.Module
    """The class, or a function that returns the network."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """What it is called with beside ``num_classes``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.before_classifier and "before_classifier" not in self.places:
            raise self.lacks("before_classifier")

    @property
    def stride(self) -> int:
        return 1

    @property
    def places(self) -> dict[str, Any]:
        there = {place: filling for place, filling in super().places.items() if place in self.declared}
        if "before_classifier" not in there and on_shapes(replace(self, before_classifier=None), None, _ends_linear):
            there["before_classifier"] = self.before_classifier
        return there

    def check_size(self, size: int) -> None:
        def logits(network: nn.Module, images: Tensor) -> Any:
            return network(images)

        key = f"{self.name}: images (1, 3, {size}, {size})"
        try:
            found = on_shapes(self, size, logits)
        except UserError:
            raise
        except Exception as error:  # whatever its code meets
            raise UserError(f"{key} cannot be taken ({_line(error)}): change data.image_size or the network") from error
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if shape != (1, self.num_classes):
            raise UserError(f"{key} become {shape}, and not logits (1, {self.num_classes}): return one for each class")

    def build(self) -> nn.Module:
        filled = {place: getattr(self, place) for place in self.declared}
        network = self._made(**filled)
        if self.before_classifier and "before_classifier" not in self.declared:
            BeforeClassifier(network, self.before_classifier())
        return network

    def _made(self, **filled: Any) -> nn.Module:
        arguments = {"num_classes": self.num_classes, **self.args, **filled}
        try:
            inspect.signature(self.make).bind(**arguments)
        except TypeError as error:
            raise UserError(
                f"{self.name} cannot be called with {', '.join(arguments)} ({error}): it must take num_classes, and "
                "what model.args gives"
            ) from error
        except ValueError:  # it does not tell its signature
            pass
        try:
            network = self.make(**arguments)
        except UserError:
            raise
        except Exception as error:
            if torch.empty(0).is_meta:
                raise  # perhaps it can be built elsewhere
            raise UserError(f"{self.name} cannot be built with {arguments}: {_line(error)}") from error
        if not isinstance(network, nn.Module):
            raise UserError(f"{self.name} makes a {type(network).__name__}, and no torch.nn.Module: name one that does")
        return network


def _ends_linear(network: nn.Module, images: Tensor) -> bool:
    return [type(module) for module in classifiers(network)] == [nn.Linear]


def foreign_spec(entry: ForeignEntry, *, image_size: int | None = None, **fields: Any) -> Spec:
    """Return the spec of what an entry names.

    Raises:
        UserError: it cannot be imported, builds no network, or declares a place that there is not.
    """
    if entry.provided:
        make: Any = entry.provided.load()
    else:
        make = imported(entry.target, f"model._target_={entry.target}")
    if not callable(make) or (isinstance(make, type) and not issubclass(make, nn.Module)):
        raise UserError(
            f"model {fields['name']} is {make!r}, and neither a torch.nn.Module nor a function that returns one"
        )
    declared = tuple(getattr(make, "places", ()))
    for place in declared:
        if place not in PLACES:
            raise UserError(f"{fields['name']}.places has '{place}', which is no place. Places: {', '.join(PLACES)}")
    return _spec_class(declared)(make=make, residual=bool(RESIDUAL & set(declared)), **fields)


@cache
def _spec_class(declared: tuple[str, ...]) -> type[ForeignSpec]:
    """Return the class of specs with these places: `Spec.replace` and `resolve` go by fields."""
    own = [(place, Any, None) for place in declared if place != "before_classifier"]
    return make_dataclass(
        "ForeignSpec",
        own,
        bases=(ForeignSpec,),
        namespace={"declared": declared, "__module__": __name__},
        frozen=True,
    )


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
