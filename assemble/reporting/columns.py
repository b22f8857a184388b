"""The columns of a table as text, the same in the terminal, in Markdown, in LaTeX and in the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from assemble.reporting.metrics import duration, metric
from assemble.reporting.statistics import Gain
from assemble.reporting.table import Row, Table
from assemble.wording import amount

METHOD = (
    "Mean ± standard deviation (n - 1) over n seeds. Gain: over the baseline, positive is better; mean of the"
    " differences paired by seed, with its 95 % interval by Student's t. (seeds ..): those that both rows have, where"
    " one has others too. ≈: the interval contains zero, the two are not told apart. No interval: fewer than two common"
    " seeds, or differences that are all equal. p: that of the gain, two-sided, corrected for the number of rows by"
    " Holm's method. Published numbers: in brackets the measured mean less it."
)


@dataclass(frozen=True)
class Column:
    """One column."""

    title: str
    cell: Callable[[Row], str]
    sort: Callable[[Row], float | str | None]
    """What rows are sorted by."""
    numeric: bool = True
    help: str = ""


P = "of the gain over the baseline: two-sided, by Student's t, corrected for the number of rows by Holm's method"


def _p(gain: Gain | None) -> str:
    if gain is None or gain.holm is None:
        return ""
    return "< 0.001" if gain.holm < 0.001 else f"{gain.holm:.3f}" if gain.holm < 0.1 else f"{gain.holm:.2f}"


def columns(table: Table, with_tricks: bool = True) -> list[Column]:
    """Return the columns that have something to say.

    Args:
        with_tricks: have a column of the tricks that labels do not tell.
    """
    chosen = table.metric
    others = [key for key in table.metrics if key != chosen.key]
    every = [
        Column("configuration", lambda row: row.label, lambda row: row.label, numeric=False),
        *([_tricks(table)] if with_tricks else []),
        Column(
            "n",
            lambda row: str(row.n),
            lambda row: row.n,
            help="seeds, and folds of each where there are some, that are finished",
        ),
        _metric(chosen.key),
        _gain("gain", "over the baseline", table, lambda row: row.gain),
        Column("p", lambda row: _p(row.gain), lambda row: row.gain and row.gain.holm, help=P),
        *([_gain("over row above", "over the row above", table, lambda row: row.step)] if table.has_steps else []),
        *(_reported(key) for key in table.reported),
        *(_metric(key) for key in others),
        _result("params", amount, "parameters"),
        _result("macs", amount, "multiply-adds of one image", "mult-adds"),
        *([_result("epochs", str)] if len({row.runs[0].result.get("epochs") for row in table.rows}) > 1 else []),
        _time(),
    ]
    return [column for column in every if any(column.cell(row) for row in table.rows)]


def _tricks(table: Table) -> Column:
    def cell(row: Row) -> str:
        if row.names_tricks or table.is_step(row):
            return ""
        whole, place = ", ".join(row.tricks), table.rows.index(row)
        above = table.rows[place - 1].tricks if place else []
        added = [f"+ {trick}" for trick in row.tricks if trick not in above]
        dropped = [f"- {trick}" for trick in above if trick not in row.tricks]
        step = " ".join(["…", *added, *dropped])
        return step if place and len(step) < len(whole) else whole

    above = any(cell(row).startswith("…") for row in table.rows)
    return Column("tricks (…: those above)" if above else "tricks", cell, lambda row: len(row.tricks), numeric=False)


def _metric(key: str) -> Column:
    """Make the column of a metric; its own n stands behind it where not all of the row's runs have it."""
    found = metric(key)

    def cell(row: Row) -> str:
        spread = row.spread(key)
        return found.spread(spread) + (f" (n = {spread.n})" if spread and spread.n < row.n else "")

    better = "more" if found.more_is_better else "less"
    return Column(found.title, cell, lambda row: row.mean(key), help=f"{better} is better")


def _gain(title: str, about: str, table: Table, gain: Callable[[Row], Gain | None]) -> Column:
    def cell(row: Row) -> str:
        return "baseline" if row is table.baseline and title == "gain" else table.metric.gain(gain(row))

    def sort(row: Row) -> float | None:
        found = gain(row)
        return found.mean if found else None

    return Column(title, cell, sort, help=f"{table.metric.title} {about}, paired by seed, with its 95 % interval")


def _reported(key: str) -> Column:
    """Make the column of a published number, and how much more was measured."""
    found = metric(key)

    def difference(row: Row) -> float | None:
        mean = row.mean(key)
        return None if mean is None or key not in row.reported else mean - row.reported[key]

    def cell(row: Row) -> str:
        if key not in row.reported:
            return ""
        more = difference(row)
        return found.number(row.reported[key]) + ("" if more is None else f" ({found.difference(more)})")

    return Column(f"published {found.title}", cell, difference, help="in brackets: the measured mean less it")


def _result(key: str, write: Callable[[float], str], about: str = "", title: str = "") -> Column:
    """Make the column of a number of result.json that is the same for all seeds."""

    def value(row: Row) -> float | None:
        return row.runs[0].result.get(key)

    def cell(row: Row) -> str:
        number = value(row)
        return "" if number is None else write(number)

    return Column(title or key, cell, value, help=about)


def _time() -> Column:
    def seconds(row: Row) -> float | None:
        return row.mean("train_seconds")

    def cell(row: Row) -> str:
        mean = seconds(row)
        return "" if mean is None else duration(mean)

    return Column("training time", cell, seconds, help="mean of the runs")
