"""`resolve`: one fixed order, and what it refuses. With tricks made up for the purpose, and with real ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import pytest

from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.models.spec import Spec
from assemble.planning.resolve import resolve
from tricks import create
from tricks.base import BatchTrick, LossTrick, ModelTrick


@dataclass(frozen=True)
class Wide(ModelTrick):
    """Claims the width."""

    name: ClassVar[str] = "wide"

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(width=spec.width * 2)


@dataclass(frozen=True)
class Early(ModelTrick):
    """Claims the classes, before every other."""

    name: ClassVar[str] = "zz_early"
    order: ClassVar[int] = 1
    needs: ClassVar[Mapping[str, str]] = {"wide": "width matters"}

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(num_classes=7)


@dataclass(frozen=True)
class WideToo(Wide):
    """Claims the width as well."""

    name: ClassVar[str] = "wide_too"


@dataclass(frozen=True)
class Shy(Wide):
    """Yields where it would collide."""

    name: ClassVar[str] = "shy"
    yields_to: ClassVar[Mapping[str, str]] = {"wide": "one is enough"}


@dataclass(frozen=True)
class Hater(LossTrick):
    """Not beside wide."""

    name: ClassVar[str] = "hater"
    conflicts: ClassVar[Mapping[str, str]] = {"wide": "they quarrel"}

    def targets(self, targets):
        return targets


@dataclass(frozen=True)
class Idle(ModelTrick):
    """Finds nothing."""

    name: ClassVar[str] = "idle"

    def convert(self, spec: Spec) -> Spec:
        return spec


BASE = spec_of("resnet50", width=8)


def test_no_tricks_is_the_base():
    recipe = resolve([], BASE)
    assert recipe.spec is BASE
    assert recipe.names == []
    assert recipe.steps == ()


def test_ascending_order_then_name_whatever_the_listing():
    for listing in permutations([Wide(), Early(), Idle2()]):
        recipe = resolve(listing, BASE)
        assert recipe.names == ["zz_early", "idle2", "wide"]
        assert (recipe.spec.width, recipe.spec.num_classes, recipe.spec.zero_gamma) == (16, 7, True)


@dataclass(frozen=True)
class Idle2(ModelTrick):
    """Claims zero_gamma."""

    name: ClassVar[str] = "idle2"

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(zero_gamma=True)


def test_real_tricks_in_every_listing():
    names = ["resnet_d", "sk", "mixup", "label_smoothing"]
    recipes = [resolve(create(listing), BASE) for listing in permutations(names)]
    assert len({tuple(r.names) for r in recipes}) == 1
    assert len({tuple((s.trick, s.places) for s in r.steps) for r in recipes}) == 1
    assert {s.trick: s.places for s in recipes[0].steps} == {"resnet_d": ("stem", "shortcut"), "sk": ("operator",)}
    assert [t.name for t in recipes[0].of(BatchTrick)] == ["mixup"]
    assert [t.name for t in recipes[0].of(LossTrick)] == ["label_smoothing"]


def test_steps_show_the_spec_after_each_trick():
    recipe = resolve([Wide(), Idle2()], BASE)
    first, second = recipe.steps
    assert (first.trick, first.places, first.spec.width, first.spec.zero_gamma) == ("idle2", ("zero_gamma",), 8, True)
    assert (second.trick, second.places, second.spec.width) == ("wide", ("width",), 16)
    assert recipe.spec is second.spec
    assert recipe.base is BASE


@pytest.mark.parametrize(
    ("tricks", "words"),
    [
        ([Wide(), Wide()], ["twice", "wide"]),
        ([Wide(), WideToo()], ["wide", "wide_too", "width", "resnet50"]),
        ([Early()], ["zz_early", "needs trick wide", "width matters", "+tricks=[wide]"]),
        ([Hater(), Wide()], ["hater", "wide", "they quarrel"]),
        ([Idle()], ["idle", "nothing to change", "resnet50"]),
    ],
)
def test_refusals_say_who_and_why(tricks, words):
    for listing in (tricks, tricks[::-1]):
        with pytest.raises(UserError) as error:
            resolve(listing, BASE)
        assert all(word in str(error.value) for word in words), error.value


def test_yielding_instead_of_colliding():
    recipe = resolve([Shy(), Wide()], BASE)
    assert {s.trick: (s.places, s.reason) for s in recipe.steps} == {
        "shy": ((), "yields to wide: one is enough"),
        "wide": (("width",), ""),
    }
    assert recipe.spec.width == 16
    assert resolve([Shy()], BASE).spec.width == 16


def test_batch_tricks_that_take_turns_draw_alike():
    """Mixup and CutMix, the usual pair, as they are; kinds that do not fit are refused with what to set."""
    tricks = resolve(create({"mixup": {}, "cutmix": {}}), BASE).of(BatchTrick)
    assert [trick.images_per_target for trick in tricks] == [2, 2]
    tricks = resolve(create({"mixup": {"kind": "permutation"}, "cutmix": {}}), BASE).of(BatchTrick)
    assert [trick.images_per_target for trick in tricks] == [1, 1]
    unlike = create({"mixup": {}, "cutmix": {"kind": "permutation"}})
    with pytest.raises(UserError, match=r"set tricks.cutmix.kind=type1 or set tricks.mixup.kind=type2"):
        resolve(unlike, BASE)
