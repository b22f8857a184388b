"""Tricks and a base spec -> a `Recipe`: what is built and run, in one fixed order, contradictions refused.

Tricks act in ascending (``order``, name), so the order in which they were listed changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from assemble.errors import UserError

if TYPE_CHECKING:
    from assemble.models.spec import Spec
    from tricks.base import BatchTrick, ModelTrick, Trick

T = TypeVar("T", bound="Trick")


@dataclass(frozen=True)
class Step:
    """One model trick's doing: the spec after it, the places it filled, or why it filled none."""

    trick: str
    spec: Spec
    places: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Recipe:
    """What the configuration amounts to."""

    tricks: tuple[Trick, ...]
    base: Spec
    steps: tuple[Step, ...]

    @property
    def spec(self) -> Spec:
        """The network's spec with all model tricks in it."""
        return self.steps[-1].spec if self.steps else self.base

    @property
    def names(self) -> list[str]:
        """The tricks' names in the order in which they act."""
        return [trick.name for trick in self.tricks]

    def of(self, kind: type[T]) -> list[T]:
        """Return the tricks of one base class, in the order in which they act."""
        return [trick for trick in self.tricks if isinstance(trick, kind)]


def resolve(tricks: Iterable[Trick], base: Spec) -> Recipe:
    """Check the tricks against each other and fold the model tricks over the spec.

    Raises:
        UserError: a trick twice, two tricks for one place, a missing partner, a trick that finds nothing to change.
    """
    from tricks.base import ModelTrick, hooks_of

    ordered = sorted(tricks, key=lambda trick: (trick.order, trick.name))
    names = {trick.name for trick in ordered}
    if len(names) < len(ordered):
        raise UserError("a trick is listed twice: " + ", ".join(trick.name for trick in ordered))
    for trick in ordered:
        for other, reason in trick.conflicts.items():
            if other in names:
                raise UserError(f"tricks {trick.name} and {other} do not go together: {reason}. Drop one of them")
        for other, reason in trick.needs.items():
            if other not in names:
                raise UserError(f"trick {trick.name} needs trick {other}: {reason}. Add it with +tricks=[{other}]")

    steps: list[Step] = []
    claimed: dict[str, str] = {}

    def claim(place: str, trick: Trick) -> None:
        other = claimed.setdefault(place, trick.name)
        if other != trick.name:
            raise UserError(f"tricks {other} and {trick.name} both change the {place}. Drop one of them")

    for trick in ordered:
        for hook in hooks_of(trick):
            claim(hook, trick)
        if not isinstance(trick, ModelTrick):
            continue
        before = steps[-1].spec if steps else base
        stronger = next((other for other in trick.yields_to if other in names), None)
        if stronger:
            steps.append(Step(trick.name, before, (), f"yields to {stronger}: {trick.yields_to[stronger]}"))
            continue
        # A trick looks at the untouched network, so what it claims does not depend on who came first.
        places = _changed(base, _converted(trick, base))
        for place in places:
            claim(f"{place} of {base.name}", trick)
        if not places and not hooks_of(trick):
            raise UserError(f"trick {trick.name} finds nothing to change in {base.name}: drop it")
        steps.append(Step(trick.name, trick.convert(before), places))

    return Recipe(tuple(drawing_alike(ordered)), base, tuple(steps))


def drawing_alike(tricks: Sequence[Trick]) -> list[Trick]:
    """Return the tricks, with batch tricks that want as many images for each one mixed, since they take turns.

    Raises:
        UserError: they cannot.
    """
    from tricks.base import BatchTrick

    most = max((trick.images_per_target for trick in tricks if isinstance(trick, BatchTrick)), default=1)
    alike = [trick.drawing(most) if isinstance(trick, BatchTrick) else trick for trick in tricks]
    mixers = [trick for trick in alike if isinstance(trick, BatchTrick)]
    if len({mixer.images_per_target for mixer in mixers}) > 1:
        ways = [
            way
            for mixer in mixers
            for count in {m.images_per_target for m in mixers}
            if (way := _to_draw(mixer, count))
        ]
        raise UserError(
            "tricks "
            + " and ".join(f"{m.name} ({m.images_per_target} drawn for each image mixed)" for m in mixers)
            + " take turns on the batches, so they must draw alike: "
            + " or ".join([*ways, "drop one of them"])
        )
    return alike


def _to_draw(mixer: BatchTrick, count: int) -> str | None:
    """Say how a trick is brought to draw so many images for each one mixed; None: it does, or cannot."""
    kind: Any = getattr(mixer, "kind", None)
    if mixer.images_per_target == count or not isinstance(kind, Enum):
        return None
    others: list[Any] = [replace(mixer, **{"kind": other}) for other in type(kind)]
    found = [other.kind for other in others if other.images_per_target == count]
    return f"set tricks.{mixer.name}.kind={found[0].value}" if found else None


def _converted(trick: ModelTrick, base: Spec) -> Spec:
    from assemble.models.spec import NoPlaceError

    try:
        return trick.convert(base)
    except NoPlaceError as error:
        raise UserError(f"trick {trick.name} finds no place in {base.name} ({error}): drop it") from error


def _changed(before: Spec, after: Spec) -> tuple[str, ...]:
    """Return the places that differ."""
    return tuple(field.name for field in fields(before) if getattr(before, field.name) != getattr(after, field.name))
