"""Which combinations each mode of an ablation trains: counted and listed by hand."""

import math
from collections import Counter

import pytest

from assemble.errors import UserError
from assemble.sweeper_options import Mode
from assemble.sweeps.designs import Design, Subset, design

ABC = ("a", "b", "c")


def allowed(_: Subset) -> None:
    return None


def not_together(subset: Subset) -> str | None:
    return "a and b do not go together" if {"a", "b"} <= set(subset) else None


def b_needs_a(subset: Subset) -> str | None:
    return "b needs a" if "b" in subset and "a" not in subset else None


def shown(found: Design) -> dict[str, str]:
    """Label -> the tricks that are on."""
    return {row.label: "".join(row.tricks) for row in found.rows}


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        (Mode.cumulative, {"base": "", "+ a": "a", "+ b": "ab", "+ c": "abc"}),
        (Mode.leave_one_out, {"all": "abc", "- a": "bc", "- b": "ac", "- c": "ab"}),
        (Mode.one_at_a_time, {"base": "", "a": "a", "b": "b", "c": "c"}),
        (Mode.pairs, {"base": "", "a": "a", "b": "b", "c": "c", "a + b": "ab", "a + c": "ac", "b + c": "bc"}),
        (
            Mode.factorial,
            {
                **{"base": "", "a": "a", "b": "b", "c": "c", "a + b": "ab", "a + c": "ac", "b + c": "bc"},
                "a + b + c": "abc",
            },
        ),
    ],
)
def test_rows(mode: Mode, rows: dict[str, str]) -> None:
    found = design(mode, ABC, allowed)
    assert shown(found) == rows
    assert list(shown(found)) == list(rows)
    assert found.orders == ([ABC] if mode is Mode.cumulative else [])
    assert not found.refused


@pytest.mark.parametrize(
    ("mode", "count"), [(Mode.cumulative, 13), (Mode.leave_one_out, 13), (Mode.pairs, 79), (Mode.factorial, 4096)]
)
def test_counts(mode: Mode, count: int) -> None:
    assert len(design(mode, tuple("abcdefghijkl"), allowed).rows) == count


def test_a_factorial_design_has_an_end() -> None:
    with pytest.raises(UserError, match=r"13 tricks has 8,192 combinations: name at most 12 with hydra.sweeper.tricks"):
        design(Mode.factorial, tuple("abcdefghijklm"), allowed)


def test_what_is_refused_is_named() -> None:
    found = design(Mode.pairs, ABC, not_together)
    assert set(shown(found)) == {"base", "a", "b", "c", "a + c", "b + c"}
    assert [(row.label, row.tricks, why) for row, why in found.refused] == [
        ("a + b", ("a", "b"), "a and b do not go together")
    ]
    found = design(Mode.leave_one_out, ABC, b_needs_a)
    assert set(shown(found)) == {"all", "- b", "- c"}
    with pytest.raises(UserError, match=r"no combination of a, b, c can be trained: never"):
        design(Mode.cumulative, ABC, lambda _: "never")


def test_shapley_is_exact_where_all_orders_are_few() -> None:
    found = design(Mode.shapley, ABC, allowed, orders=6)
    assert len(set(found.orders)) == 6
    assert len(found.rows) == 8  # every subset, each once, though 6 ways pass 4 each
    assert {row.label for row in found.rows} >= {"base", "a + b + c"}
    assert design(Mode.shapley, ABC, allowed, orders=600).orders == found.orders


def test_shapley_draws_orders() -> None:
    tricks = tuple("abcdefgh")
    found = design(Mode.shapley, tricks, allowed, orders=5, seed=3)
    assert len(set(found.orders)) == 5
    assert all(sorted(order) == list(tricks) for order in found.orders)
    assert len(found.rows) <= 5 * 7 + 2
    on_the_way = {frozenset(order[:size]) for order in found.orders for size in range(9)}
    assert {frozenset(row.tricks) for row in found.rows} == on_the_way
    assert design(Mode.shapley, tricks, allowed, orders=5, seed=3) == found
    assert design(Mode.shapley, tricks, allowed, orders=5, seed=4).orders != found.orders
    with pytest.raises(UserError, match=r"permutations=0 must be at least 1"):
        design(Mode.shapley, tricks, allowed, orders=0)


def test_shapley_draws_every_order_alike() -> None:
    first = Counter(design(Mode.shapley, tuple("abcd"), allowed, orders=1, seed=s).orders[0] for s in range(2400))
    # 24 orders, 100 of each expected, with a standard deviation of 9.8.
    assert len(first) == math.factorial(4)
    assert all(60 < n < 140 for n in first.values())


def test_shapley_goes_only_ways_that_can_be_trained() -> None:
    found = design(Mode.shapley, ABC, b_needs_a, orders=6)
    assert set(found.orders) == {("a", "b", "c"), ("a", "c", "b"), ("c", "a", "b")}
    assert [(row.label, why) for row, why in found.refused] == [("b", "b needs a")]
    tricks = ("b", "a", *"cdefgh")  # drawn
    drawn = design(Mode.shapley, tricks, b_needs_a, orders=20).orders
    assert len(drawn) == 20
    assert all(order.index("a") < order.index("b") for order in drawn)
    with pytest.raises(UserError, match=r"no order of a, b, c can be trained.*a and b do not go together"):
        design(Mode.shapley, ABC, not_together)
