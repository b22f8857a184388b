"""Means, spreads and intervals. Everything of a distribution comes from scipy.

Two configurations are compared by the differences of the seeds that both have: what a seed does to both (initial
weights, order of the images) then cancels out. The interval that is printed, and that says whether two rows are told
apart, is Student's t of those differences: with three to five seeds a bootstrap is far too narrow (of two values it can
only return those two, and holds the truth half of the time; ``benchmarks/intervals.py`` measures it). The bootstrap
interval (BCa) stands beside it in the CSV and in the page.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95
DIGITS = 4 * float(np.finfo(np.float32).eps)
"""Metrics are sums of float32: differences that are closer than this share of the numbers compared are equal."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Spread:
    """n values, their mean, and their sample standard deviation (n - 1), which one value does not have."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Gain:
    """A mean difference; positive is better. Without ``interval``, nothing is known about its error."""

    n: int
    """Seeds."""
    mean: float
    interval: tuple[float, float] | None = None
    """95 %, Student's t."""
    bootstrap: tuple[float, float] | None = None
    """95 %, BCa. Too narrow for few seeds."""
    p: float | None = None
    """Two-sided, of Student's t: below 0.05 where zero is outside of the interval."""
    holm: float | None = None
    """The same, corrected for the number of rows (`holm`)."""
    over: str = ""
    """``seeds 1-3``: which were compared, where one of the two rows has others too. Else nothing."""

    @property
    def told_apart(self) -> bool | None:
        """Is zero outside of the interval? None where there is no interval."""
        return None if self.interval is None else not self.interval[0] <= 0 <= self.interval[1]


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean and standard deviation; None of nothing."""
    if not values:
        return None
    return Spread(len(values), float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def paired(values: Mapping[Any, float], reference: Mapping[Any, float], sign: int = 1) -> Gain | None:
    """Compare ``values`` with ``reference``, both by seed (and fold), of those that both have; None if there is none.

    Args:
        sign: -1 where less is better.
    """
    common = sorted(values.keys() & reference.keys())
    if not common:
        return None
    return gain([sign * (values[seed] - reference[seed]) for seed in common], largest([values, reference]))


def largest(every: Iterable[Mapping[Any, float]]) -> float:
    """Return the largest size of the numbers compared."""
    return max(abs(value) for values in every for value in values.values())


def over(common: Sequence[tuple[int, ...]], every: Collection[tuple[int, ...]]) -> str:
    """Name the repetitions that were compared, in order, where there are others: ``seeds 1-3, 7``.

    A repetition is a tuple of the seed, and of what tells folds, which are only counted.
    """
    if len(common) == len(every):
        return ""
    if any(len(repetition) > 1 for repetition in common):
        return f"{len(common)} of {len(every)} folds"
    parts: list[list[int]] = []
    for (seed,) in common:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    texts = [f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts]
    return f"seed{'s' * (len(common) > 1)} {', '.join(texts)}"


def gain(differences: Sequence[float], size: float = 0.0) -> Gain:
    """Return the mean of one difference for each seed.

    Equal ones tell nothing of their spread, so they get no interval.

    Args:
        size: the largest of the numbers of which these are the differences.
    """
    n, mean = len(differences), float(np.mean(differences))
    if n < 2 or np.ptp(differences) <= max(DIGITS * size, 1e-12 * max(1.0, abs(mean))):
        return Gain(n, mean)
    error = float(stats.sem(differences))
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return Gain(n, mean, student(mean, error, n - 1), bootstrap(differences), p)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for how many there are, by Holm's method (Scand. J. Statist. 6:65-70, 1979).

    The chance that any of those below a level is below it by luck alone is at most that level.
    """
    corrected, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = largest
    return corrected


def student(mean: float, error: float, freedom: float) -> tuple[float, float]:
    """Return Student's interval around a mean of standard error ``error`` with ``freedom`` degrees of freedom."""
    low, high = stats.t.interval(LEVEL, freedom, loc=mean, scale=error)
    return float(low), float(high)


def half_interval(found: Spread) -> float:
    """Return half of the 95 % interval of a mean; 0 of one value, whose error nobody knows."""
    if not found.sd:
        return 0.0
    return student(0.0, found.sd / math.sqrt(found.n), found.n - 1)[1]


def bootstrap(differences: Sequence[float]) -> tuple[float, float] | None:
    """Return the BCa interval of the mean; None where it does not exist."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.asarray(differences),),
            np.mean,
            confidence_level=LEVEL,
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(0),  # the same table twice
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def crossed(differences: np.ndarray, all_rows: bool = False) -> tuple[Gain, float, float | None]:
    """Return the mean of differences (P, S) of P sampled orders and S seeds, each order run with each seed.

    Its variance is that of the orders' means over P and that of the seeds' means over S, which counts their interaction
    twice and so errs on the safe side; degrees of freedom by Welch and Satterthwaite.

    Args:
        all_rows: the rows are all orders that there are, so that their choice brings no error.

    Returns:
        the gain (n: seeds), the standard error from orders, and that from seeds (None of one seed).
    """
    orders, seeds = differences.shape
    mean = float(differences.mean())
    by_order = differences.mean(1)
    known = orders > 1 and np.ptp(by_order) >= 1e-12 * max(1.0, abs(mean))  # a trick may be first in all orders
    of_orders = 0.0 if all_rows else float(stats.sem(by_order)) if known else math.nan
    if seeds < 2:
        return Gain(seeds, mean), of_orders, None
    of_seeds = float(stats.sem(differences.mean(0)))
    total = of_orders**2 + of_seeds**2
    if not total > 0:  # no spread, or orders that are one or alike, which tell nothing of the others
        return Gain(seeds, mean), of_orders, of_seeds
    freedom = total**2 / (of_orders**4 / max(orders - 1, 1) + of_seeds**4 / (seeds - 1))
    return Gain(seeds, mean, student(mean, math.sqrt(total), freedom)), of_orders, of_seeds
