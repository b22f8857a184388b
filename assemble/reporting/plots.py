"""What the plots show, as numbers; `assemble.reporting.figures` draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from assemble.reporting.gains import TrickGain
from assemble.reporting.metrics import Metric, brief, metric
from assemble.reporting.statistics import Gain, half_interval, spread
from assemble.reporting.table import Row, Table
from assemble.wording import amount

BARS = 40
"""Gains in one plot."""
POINTS = 200
"""Of one curve."""
NUMBERED = 40
"""Points that are numbered: more numbers hide the points."""


@dataclass(frozen=True)
class Point:
    """A row: its cost and its score, with one standard deviation to both sides (None of one seed)."""

    number: int
    """Of the row in the table, from 1."""
    x: float
    y: float
    sd: float | None
    tip: str


@dataclass(frozen=True)
class Scatter:
    """Score over cost."""

    name: ClassVar[str] = "score"

    title: str
    caption: str
    x_label: str
    y_label: str
    points: Sequence[Point]
    x_text: Callable[[float], str] = brief

    @property
    def log(self) -> bool:
        """Costs that span nearly a power of ten are drawn in ratios."""
        costs = [point.x for point in self.points]
        return min(costs) > 0 and max(costs) > 8 * min(costs)


@dataclass(frozen=True)
class Bar:
    """One gain with its interval. ``number`` is that of its row in the table, if it is a row's."""

    number: int | None
    name: str
    gain: Gain
    text: str
    tip: str


@dataclass(frozen=True)
class Forest:
    """Gains, one below the other."""

    name: str
    title: str
    caption: str
    x_label: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Curve:
    """The mean over seeds (E,) at some epochs (E,), with one standard deviation to both sides."""

    number: int
    name: str
    x: np.ndarray
    y: np.ndarray
    sd: np.ndarray


@dataclass(frozen=True)
class Curves:
    """Learning curves, a panel each, with that of the baseline behind the others."""

    name: ClassVar[str] = "curves"

    title: str
    caption: str
    y_label: str
    curves: Sequence[Curve]
    baseline: Curve | None = None


@dataclass(frozen=True)
class Lines:
    """Score over multiply-adds, for networks that are scaled in several ways. ``sd`` is half a 95 % interval here."""

    name: ClassVar[str] = "scaling"

    title: str
    caption: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]


Plot = Scatter | Lines | Forest | Curves


def plots(table: Table, gains: Sequence[TrickGain]) -> list[Plot]:
    """Make the plots of a table that have something to show."""
    drawn = (lines(table), scatter(table), forest(table), effects(table, gains), curves(table))
    return [plot for plot in drawn if plot is not None]


def scatter(table: Table) -> Scatter | None:
    """Plot the score over throughput, or over multiply-adds where no run has measured its throughput."""
    fast = any(row.mean("throughput") for row in table.rows)
    key, label = ("throughput", "images/s") if fast else ("macs", "multiply-adds of one image")
    score, points = table.metric, []
    for number, row in enumerate(table.rows, 1):
        x, y = row.mean(key), row.spread(score.key)
        if x is not None and y is not None:
            tip = f"{number} · {row.label}\n{score.title}: {score.spread(y)} (n = {y.n})\n{amount(x)} {label}"
            points.append(Point(number, x, y.mean, y.sd, tip))
    if not points:
        return None
    caption = (
        f"Mean over seeds, bars: ± one standard deviation, {seeds(table.rows)}. Numbers are the table's rows. "
        "Points of like cost are moved apart."
    )
    return Scatter(f"{score.title} over {'throughput' if fast else 'cost'}", caption, label, score.title, points)


def lines(table: Table) -> Lines | None:
    """Plot the lines of a sweep that scales networks: score over multiply-adds."""
    score, drawn = table.metric, []
    for name, joined in table.lines.items():
        found = [(row.mean("macs"), row.spread(score.key)) for row in joined]
        points = sorted((x, y.mean, half_interval(y)) for x, y in found if x is not None and y is not None)
        if len(points) > 1:
            x, y, half = np.array(points).T
            drawn.append(Curve(table.rows.index(joined[-1]) + 1, name, x, y, half))
    if not drawn:
        return None
    rows = [row for joined in table.lines.values() for row in joined]
    caption = f"Mean over seeds, bars: its 95 % interval by Student's t, {seeds(rows)}."
    title = f"{score.title} over multiply-adds, by what is scaled"
    return Lines(title, caption, "multiply-adds of one image", score.title, drawn)


def forest(table: Table) -> Forest | None:
    """Plot the gain of each row over the baseline: the numbers of the table's column."""
    score = table.metric
    bars = [
        _bar(number, f"{number} {row.label}", row.gain, "", score)
        for number, row in enumerate(table.rows, 1)
        if row.gain
    ]
    return _forest("gains", "Gain over the baseline", f"Gain in {score.title} over {table.baseline.label}", bars, score)


def effects(table: Table, gains: Sequence[TrickGain]) -> Forest | None:
    """Plot what each trick brings, all else equal; None where these are the gains over the baseline."""
    score = table.metric
    alone = {(*row.tricks, row.gain.mean, row.gain.n) for row in table.rows if row.gain}
    if all((found.trick, found.gain.mean, found.gain.n) in alone for found in gains):
        return None
    bars = [_bar(None, found.trick, found.gain, _context(found, score), score) for found in gains]
    about = f"What each trick brings in {score.title}, between rows that differ by it alone"
    return _forest("effects", "Effect of each trick", about, bars, score)


def _forest(name: str, title: str, about: str, bars: Sequence[Bar], score: Metric) -> Forest | None:
    if not bars:
        return None
    more = f" The first {BARS} of {len(bars)}." if len(bars) > BARS else ""
    caption = (
        f"{about}; positive is better. 95 % intervals of differences paired by seed "
        f"(n = {_range(sorted({bar.gain.n for bar in bars}))}). Green: better, red: worse; grey: the interval contains "
        f"zero, not told apart; hollow: no interval.{more}"
    )
    return Forest(name, title, caption, f"difference in {score.title}", bars[:BARS])


def curves(table: Table) -> Curves | None:
    """Plot the validation score by epoch, of every row that was validated more than once."""
    score = table.metric if _has_curve(table, table.metric.key) else metric("top1")
    drawn = {
        number: curve
        for number, row in enumerate(table.rows, 1)
        if (curve := spread_curve(number, row, score.key)) is not None and len(curve.x) > 1
    }
    if not drawn:
        return None
    baseline = drawn.get(table.rows.index(table.baseline) + 1)
    behind = f" Grey: {baseline.number} {baseline.name}, the baseline." if baseline and len(drawn) > 1 else ""
    caption = (
        f"Validation {score.title} after each epoch: mean over seeds, band: ± one standard deviation, "
        f"{seeds([table.rows[number - 1] for number in drawn])}.{behind}"
    )
    return Curves("Learning curves", caption, f"validation {score.title}", list(drawn.values()), baseline)


def _has_curve(table: Table, key: str) -> bool:
    return any(run.curve(key) for run in table.baseline.runs)


def spread_curve(number: int, row: Row, key: str, split: str = "val") -> Curve | None:
    """Return mean and deviation over a row's finished runs, at the epochs that all of them have."""
    by_run = [values for run in row.runs if (values := run.curve(key, split))]
    if not by_run:
        return None
    epochs = sorted(set.intersection(*(set(values) for values in by_run)))
    if not epochs:
        return None
    stride = -(-len(epochs) // POINTS)
    epochs = sorted({*epochs[::stride], epochs[-1]})
    at = [spread([values[epoch] for values in by_run]) for epoch in epochs]
    means = [found.mean for found in at if found]
    sds = [found.sd or 0.0 for found in at if found]
    return Curve(number, row.label, np.array(epochs, float), np.array(means), np.array(sds))


def _bar(number: int | None, name: str, gain: Gain, context: str, score: Metric) -> Bar:
    text = score.gain(gain)
    lines = [f"{name}: {text}", f"n = {gain.n} seeds", context]
    if gain.bootstrap:
        low, high = map(score.difference, gain.bootstrap)
        lines.append(f"bootstrap (BCa): [{low}, {high}]")
    return Bar(number, name, gain, text, "\n".join(line for line in lines if line))


def _context(found: TrickGain, score: Metric) -> str:
    errors = [
        f"standard error from {source}: {score.number(error)}"
        for source, error in (("orders", found.order_error), ("seeds", found.seed_error))
        if error is not None and error == error
    ]
    return "\n".join([found.context, *errors])


def seeds(rows: Sequence[Row]) -> str:
    return f"n = {_range(sorted({row.n for row in rows}))} seeds"


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
