"""Plots as PNG files, by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import UserError
from reporting.plots import NUMBERED, Curves, Forest, Plot, Scatter
from reporting.text import write


def save_plots(plots: Sequence[tuple[str, Plot]], folder: Path) -> list[Path]:
    """Write one file for each (file name without ending, plot); returns their paths.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError("--png needs matplotlib: pip install -e '.[plot]'") from error
    files = []
    for name, plot in plots:
        height = 1.3 + 0.28 * len(plot.bars) if isinstance(plot, Forest) else 4.5
        figure = Figure(figsize=(8, height), layout="constrained")
        axis = figure.subplots()
        draw(axis, plot)
        axis.set_title(plot.title, loc="left")
        axis.grid(alpha=0.25)
        figure.supxlabel(plot.caption, fontsize=6, wrap=True)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=150)
        files.append(folder / f"{name}.png")
        write(files[-1], picture.getvalue())
    return files


def draw(axis: Any, plot: Plot) -> None:
    """Draw a plot on matplotlib's axis."""
    if isinstance(plot, Scatter):
        _scatter(axis, plot)
    elif isinstance(plot, Forest):
        _forest(axis, plot)
    else:
        _curves(axis, plot)


def _scatter(axis: Any, plot: Scatter) -> None:
    for point in plot.points:
        axis.errorbar(point.x, point.y, point.sd, fmt="o", color="C0", ecolor="0.6", capsize=2)
        if len(plot.points) <= NUMBERED:
            axis.annotate(str(point.number), (point.x, point.y), (5, 4), textcoords="offset points", fontsize=8)
    if plot.log:
        axis.set_xscale("log")
    axis.set_xlabel(plot.x_label)
    axis.set_ylabel(plot.y_label)


def _forest(axis: Any, plot: Forest) -> None:
    for place, bar in enumerate(plot.bars):
        colour = "C0" if bar.gain.told_apart else "0.6"
        if bar.gain.interval:
            axis.hlines(place, *bar.gain.interval, color=colour)
        axis.plot(bar.gain.mean, place, "o", color=colour, fillstyle="full" if bar.gain.interval else "none")
    axis.axvline(0, color="0.3", linewidth=1)
    axis.set_yticks(range(len(plot.bars)), [bar.name for bar in plot.bars])
    axis.invert_yaxis()
    axis.set_xlabel(plot.x_label)


def _curves(axis: Any, plot: Curves) -> None:
    for place, curve in enumerate(plot.curves):
        axis.plot(curve.x, curve.y, color=f"C{place}", label=f"{curve.number} {curve.name}")
        axis.fill_between(curve.x, curve.y - curve.sd, curve.y + curve.sd, color=f"C{place}", alpha=0.15, linewidth=0)
    axis.legend(fontsize=7)
    axis.set_xlabel("epoch")
    axis.set_ylabel(plot.y_label)
