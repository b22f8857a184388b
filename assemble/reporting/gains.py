"""What each trick brings: the difference between rows that differ by this trick alone, or Shapley values.

Every sweep is read by one rule. Two rows that are equal but for one trick tell the gain of that trick in that company:
a cumulative sweep has one such pair for each step, leave_one_out one against the whole stack, one_at_a_time one against
no trick; in pairs and factorial sweeps a trick has several, whose mean is its main effect.

A Shapley value is the mean gain of adding a trick over all orders in which the tricks may be added (Shapley 1953), so
that the tricks of a stack share its gain fully; sampled orders estimate it without bias (Castro et al. 2009).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from assemble.reporting.differences import flat
from assemble.reporting.metrics import Metric
from assemble.reporting.read import Repetition
from assemble.reporting.statistics import Gain, crossed, gain, largest, over
from assemble.reporting.table import Row
from assemble.runs.sweep_folder import SweepFolder

Cells = Mapping[frozenset[str], Mapping[Repetition, float]]
"""Tricks -> seed, and fold where there are folds -> value."""


@dataclass(frozen=True)
class TrickGain:
    """The gain of one trick."""

    trick: str
    gain: Gain
    context: str
    """What it was added to."""
    order_error: float | None = None
    """Standard error of a Shapley value from the choice of orders."""
    seed_error: float | None = None
    """That from the choice of seeds."""


def trick_gains(rows: Sequence[Row], metric: Metric, plan: SweepFolder | None = None) -> list[TrickGain]:
    """Return the gains of all tricks that the rows tell of; of the rows of ``plan`` only, where there is one."""
    if plan:
        rows = [row for row in rows if any(plan.position(run.directory.name) is not None for run in row.runs)]
        if plan.mode == "shapley":
            cells = {frozenset(row.tricks): row.values(metric.key) for row in rows}
            return shapley(cells, plan.orders, metric.sign)
    return main_effects(rows, metric)


def main_effects(rows: Sequence[Row], metric: Metric) -> list[TrickGain]:
    """Return each trick's mean over all pairs of rows that differ by it alone, in the order of the rows."""
    by_key = {_key(row): row for row in rows}
    pairs: dict[str, list[tuple[Row, Row]]] = {}
    for (others, tricks), row in by_key.items():
        for trick in tricks:
            without = by_key.get((others, tricks - {trick}))
            if without:
                pairs.setdefault(trick[0], []).append((without, row))
    gains = []
    for trick, found in pairs.items():
        by_seed = [_differences(without, row, metric) for without, row in found]
        seeds = reduce(set.intersection, (set(differences) for differences in by_seed))
        if seeds:
            means = [float(np.mean([differences[seed] for differences in by_seed])) for seed in sorted(seeds)]
            scores = [row.values(metric.key) for pair in found for row in pair]
            told = gain(means, largest(scores))
            told = replace(told, over=over(sorted(seeds), set().union(*scores)))
            gains.append(TrickGain(trick, told, _company([without for without, _ in found])))
    return gains


def shapley(cells: Cells, orders: Sequence[Sequence[str]], sign: int = 1) -> list[TrickGain]:
    """Return Shapley values from the orders of which every step has been run, with the seeds that all of those have.

    Args:
        cells: values by tricks; those which no order names are in all of them.
        orders: the sampled orders of the same tricks.
        sign: -1 where less is better.
    """
    tricks = sorted({trick for order in orders for trick in order})
    always = frozenset.intersection(*cells) - set(tricks) if cells else frozenset()
    paths = [[always.union(order[:length]) for length in range(len(order) + 1)] for order in orders]
    whole = [place for place, path in enumerate(paths) if _seeds(cells, path)]
    if not whole:
        return []
    seeds = sorted(_seeds(cells, (cell for place in whole for cell in paths[place])))
    if not seeds:
        return []
    # (orders, tricks, seeds)
    steps = np.array([[_step(cells, paths[p], orders[p].index(t), seeds, sign) for t in tricks] for p in whole])
    complete = len({tuple(orders[place]) for place in whole}) == math.factorial(len(tricks))
    context = f"mean over {len(whole)} of {len(orders)} sampled orders"
    if complete:
        context = f"mean over all {len(whole)} orders"
    values = [crossed(steps[:, place], complete) for place in range(len(tricks))]
    return [TrickGain(trick, *value[:1], context, *value[1:]) for trick, value in zip(tricks, values, strict=True)]


def _step(
    cells: Cells, path: Sequence[frozenset[str]], place: int, seeds: Iterable[Repetition], sign: int
) -> list[float]:
    before, after = cells[path[place]], cells[path[place + 1]]
    return [sign * (after[seed] - before[seed]) for seed in seeds]


def _seeds(cells: Cells, path: Iterable[frozenset[str]]) -> set[Repetition]:
    """Return the seeds that all of these cells have."""
    return reduce(set.intersection, (set(cells.get(cell, ())) for cell in path))


def _differences(without: Row, row: Row, metric: Metric) -> dict[Repetition, float]:
    """Return seed -> the gain of one row over another."""
    first, second = without.values(metric.key), row.values(metric.key)
    return {seed: metric.sign * (second[seed] - first[seed]) for seed in first.keys() & second.keys()}


def _key(row: Row) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return all but the tricks, and the tricks with their parameters."""
    others = {key: value for key, value in flat(row.config).items() if not key.startswith("tricks.")}
    given = row.config.get("tricks") or {}
    tricks = frozenset((name, json.dumps(given.get(name), sort_keys=True)) for name in row.tricks)
    return json.dumps(others, sort_keys=True, default=str), tricks


def _company(rows: Sequence[Row]) -> str:
    if len(rows) > 1:
        return f"mean over {len(rows)} pairs of rows"
    return f"added to {' + '.join(rows[0].tricks) or 'no tricks'}"
