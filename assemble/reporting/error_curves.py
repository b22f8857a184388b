"""Training and validation error by epoch, one panel for each family of networks: the plot of He et al. 2015 (arXiv
1512.03385, Figures 1, 4 and 6), plain networks beside residual ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import digits

from assemble.errors import UserError
from assemble.reporting.palette import SERIES
from assemble.reporting.plots import Curve, seeds, spread_curve
from assemble.reporting.table import Row, Table


@dataclass(frozen=True)
class Errors:
    """A row of the table: its error in % after each epoch."""

    name: str
    depth: tuple[int, int]
    """The number at the end of the network's name (0 without), and the place among the rows that have the same."""
    training: Curve | None
    validation: Curve


@dataclass(frozen=True)
class Panel:
    """One family of networks on one data set."""

    title: str
    errors: Sequence[Errors]


def panels(tables: Sequence[Table]) -> list[Panel]:
    """Make the panels, in the order of the tables' rows; a family of more rows than there are colours has several.

    Raises:
        UserError: no run has logged its validation accuracy.
    """
    found: dict[str, list[Errors]] = {}
    for table in tables:
        for row in table.rows:
            validation = _error(row, "val")
            if validation is not None:
                name = str((row.config.get("model") or {}).get("name", ""))
                family = name.rstrip(digits)
                panel = found.setdefault(family if len(tables) == 1 else f"{family}, {table.title}", [])
                number = int(name.removeprefix(family) or 0)
                depth = number, sum(errors.depth[0] == number for errors in panel)
                panel.append(Errors(row.label, depth, _error(row, "train"), validation))
    if not found:
        raise UserError("--curves has nothing to draw: the metrics.csv of these runs have no val/top1")
    parts = [
        (title, errors[first : first + SERIES])
        for title, errors in found.items()
        for first in range(0, len(errors), SERIES)
    ]
    return [Panel(title, errors) for title, errors in parts]


def caption(tables: Sequence[Table]) -> str:
    """Return a caption that says what the lines are."""
    return (
        "Bold: validation error after each epoch. Thin: training error, of the epoch's images as they were seen. "
        f"Mean over seeds, band: ± one standard deviation, {seeds([row for table in tables for row in table.rows])}."
    )


def _error(row: Row, split: str) -> Curve | None:
    accuracy = spread_curve(0, row, "top1", split)
    return accuracy and replace(accuracy, y=100 - accuracy.y)
