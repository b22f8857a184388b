"""Gains by trick, from rows of synthetic runs and from games whose Shapley values are known."""

import itertools
import math
from pathlib import Path

import pytest

from assemble.reporting.gains import shapley, trick_gains
from assemble.reporting.metrics import METRICS
from assemble.reporting.read import find, read
from assemble.reporting.table import Row, tables
from assemble.runs.sweep_folder import SweepFolder
from tests.helpers.synthetic_runs import default_config, make_run

TOP1 = METRICS["top1"]
WORTH = {"sk": 1.0, "mixup": -0.5, "ema": 2.0}


def worth(tricks: tuple[str, ...] | frozenset[str]) -> float:
    """A game with an interplay of two."""
    return 70 + sum(WORTH[trick] for trick in tricks) + (3.0 if {"sk", "ema"} <= set(tricks) else 0.0)


def rows(folder: Path, subsets: list[tuple[str, ...]]) -> list[Row]:
    for tricks, seed in itertools.product(subsets, (0, 1)):
        make_run(folder, tricks, seed, worth(tricks) + 0.1 * seed * (1 + len(tricks)))
    (table,) = tables(read(find([folder])).runs, [], TOP1)
    return table.rows


def means(rows: list[Row]) -> dict[str, float]:
    return {found.trick: found.gain.mean for found in trick_gains(rows, TOP1)}


def test_a_cumulative_sweep_tells_each_step(tmp_path: Path) -> None:
    found = trick_gains(rows(tmp_path, [(), ("sk",), ("sk", "mixup"), ("sk", "mixup", "ema")]), TOP1)
    assert {f.trick: (f.context, round(f.gain.mean, 6), f.gain.n) for f in found} == {
        "sk": ("added to no tricks", 1.05, 2),
        "mixup": ("added to sk", -0.45, 2),
        "ema": ("added to sk + mixup", 5.05, 2),
    }


def test_leave_one_out_and_one_at_a_time(tmp_path: Path) -> None:
    whole = tuple(WORTH)
    without = [tuple(t for t in whole if t != left_out) for left_out in whole]
    assert means(rows(tmp_path / "a", [whole, *without])) == pytest.approx({"sk": 4.05, "mixup": -0.45, "ema": 5.05})
    assert means(rows(tmp_path / "b", [(), *((trick,) for trick in whole)])) == pytest.approx(
        {"sk": 1.05, "mixup": -0.45, "ema": 2.05}
    )


def test_a_factorial_gives_main_effects(tmp_path: Path) -> None:
    """With half of the interplay, as half of the rows have the other trick."""
    subsets = [tuple(s) for size in range(4) for s in itertools.combinations(WORTH, size)]
    assert means(rows(tmp_path, subsets)) == pytest.approx({"sk": 2.55, "mixup": -0.45, "ema": 3.55})


def test_rows_that_differ_otherwise_tell_nothing(tmp_path: Path) -> None:
    longer = default_config()
    longer["trainer"]["max_epochs"] = 30
    make_run(tmp_path, (), 0, 70.0)
    make_run(tmp_path, ("sk",), 0, 75.0, config=longer)
    assert means(tables(read(find([tmp_path])).runs, [], TOP1)[0].rows) == {}


def test_a_tricks_parameters_are_part_of_it(tmp_path: Path) -> None:
    wider = default_config()
    wider["tricks"] = {"sk": {"reduction": 4}}
    make_run(tmp_path, ("sk",), 0, 70.0)
    make_run(tmp_path, ("sk", "ema"), 0, 75.0, config=wider)
    assert means(tables(read(find([tmp_path])).runs, [], TOP1)[0].rows) == {}


def formula(tricks: list[str]) -> dict[str, float]:
    """Shapley's own: the sum over subsets with their weights."""
    n, values = len(tricks), {}
    for trick in tricks:
        others = [t for t in tricks if t != trick]
        values[trick] = sum(
            math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n) * (worth((*s, trick)) - worth(s))
            for size in range(n)
            for s in itertools.combinations(others, size)
        )
    return values


def cells(seeds: int = 3) -> dict[frozenset[str], dict[int, float]]:
    subsets = [frozenset(s) for size in range(4) for s in itertools.combinations(WORTH, size)]
    return {s: {seed: worth(s) + 0.01 * seed * len(s) ** 2 for seed in range(seeds)} for s in subsets}


def test_shapley_values_of_all_orders() -> None:
    values = shapley(cells(1), list(itertools.permutations(WORTH)))
    assert {f.trick: f.gain.mean for f in values} == pytest.approx(formula(list(WORTH)))
    assert {f.order_error for f in values} == {0.0}
    assert values[0].context == "mean over all 6 orders"


def test_shapley_values_share_the_whole_gain() -> None:
    played = cells()
    values = shapley(played, [("sk", "mixup", "ema"), ("ema", "sk", "mixup")])
    whole, nothing = played[frozenset(WORTH)], played[frozenset()]
    assert sum(f.gain.mean for f in values) == pytest.approx(sum(whole[s] - nothing[s] for s in range(3)) / 3)
    errors = {f.trick: f.order_error for f in values}
    assert errors["mixup"] == pytest.approx(0.01 * (9 - 4 - 4 + 1) / 2)  # its place in the two orders is 2 and 3
    assert errors["sk"] == pytest.approx((3 + 0.01 * (4 - 1 - 1)) / 2)  # with and without ema before it
    assert all(f.seed_error is not None and f.gain.interval for f in values)


def test_an_order_that_is_not_run_whole_waits() -> None:
    played = cells()
    del played[frozenset({"ema", "sk"})]
    values = shapley(played, [("sk", "mixup", "ema"), ("ema", "sk", "mixup")])
    assert {f.context for f in values} == {"mean over 1 of 2 sampled orders"}
    assert all(f.gain.interval is None for f in values)
    del played[frozenset({"sk"})]
    assert shapley(played, [("sk", "mixup", "ema"), ("ema", "sk", "mixup")]) == []
    assert shapley({}, []) == []
    # Where the empty stack is not run, all rows have sk, which is a player all the same.
    assert shapley({frozenset({"sk"}): {0: 1.0}, frozenset({"sk", "ema"}): {0: 2.0}}, [("sk", "ema")]) == []


def test_tricks_of_every_row_are_no_players() -> None:
    played = {tricks | {"zero_gamma"}: values for tricks, values in cells().items()}
    orders = list(itertools.permutations(WORTH))
    assert shapley(played, orders) == shapley(cells(), orders)


def test_the_plan_of_a_sweep_decides(tmp_path: Path) -> None:
    subsets = [tuple(s) for size in range(4) for s in itertools.combinations(WORTH, size)]
    made = rows(tmp_path, subsets)
    directories = [run.directory for row in made for run in row.runs]
    plan = SweepFolder(tmp_path, "shapley", directories, {}, list(itertools.permutations(WORTH)))
    found = {f.trick: f.gain.mean for f in trick_gains(made, TOP1, plan)}
    assert found == pytest.approx({trick: value + 0.05 for trick, value in formula(list(WORTH)).items()})
    few = SweepFolder(tmp_path, "cumulative", [d for d in directories if "ema" not in d.name])
    assert {f.trick for f in trick_gains(made, TOP1, few)} == {"sk", "mixup"}
