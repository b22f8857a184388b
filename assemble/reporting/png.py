"""Plots as files, by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assemble.errors import UserError
from assemble.reporting.error_curves import Panel
from assemble.reporting.metrics import brief
from assemble.reporting.plots import NUMBERED, Curve, Curves, Forest, Lines, Plot, Scatter
from assemble.reporting.svg import scale
from assemble.reporting.text import write


def save_plots(plots: Sequence[tuple[str, Plot]], folder: Path) -> list[Path]:
    """Write one file for each (file name without ending, plot); returns their paths.

    Raises:
        UserError: matplotlib is missing.
    """
    files = []
    for name, plot in plots:
        figure = _figure(8, 1.3 + 0.28 * len(plot.bars) if isinstance(plot, Forest) else 4.5)
        axis = figure.subplots()
        draw(axis, plot)
        axis.set_title(plot.title, loc="left")
        axis.grid(alpha=0.25)
        figure.supxlabel(plot.caption, fontsize=6, wrap=True)
        files.append(folder / f"{name}.png")
        _save(figure, files[-1])
    return files


def save_error_curves(panels: Sequence[Panel], caption: str, path: Path) -> None:
    """Write the panels side by side, in the format that the file's ending names.

    Raises:
        UserError: matplotlib is missing, or knows no such format.
    """
    figure = _figure(4.2 * len(panels), 3.9)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    depths = sorted({errors.depth for panel in panels for errors in panel.errors})
    for axis, panel in zip(axes, panels, strict=True):
        for errors in panel.errors:
            colour = f"C{depths.index(errors.depth)}"
            if errors.training:
                _band(axis, errors.training, colour, linewidth=0.8)
            _band(axis, errors.validation, colour, linewidth=2.2, label=errors.name)
        axis.set_title(panel.title, loc="left")
        axis.set_xlabel("epoch")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("error %")
    figure.supxlabel(caption, fontsize=6, wrap=True)
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    """Make a figure of a size in inches."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError("plots as files need matplotlib: pip install -e '.[plot]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    kind, kinds = path.suffix[1:], figure.canvas.get_supported_filetypes()
    if kind not in kinds:
        raise UserError(f"{path} does not say what image it is: let its name end in .png, .svg or .pdf")
    image = io.BytesIO()
    figure.savefig(image, format=kind, dpi=150)
    write(path, image.getvalue())


def draw(axis: Any, plot: Plot) -> None:
    """Draw a plot on matplotlib's axis."""
    if isinstance(plot, Scatter):
        _scatter(axis, plot)
    elif isinstance(plot, Lines):
        _lines(axis, plot)
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


def _lines(axis: Any, plot: Lines) -> None:
    for place, curve in enumerate(plot.curves):
        axis.errorbar(curve.x, curve.y, curve.sd, fmt="o-", color=f"C{place}", capsize=2, label=curve.name)
    axis.set_xscale("log")
    ticks = scale([float(x) for curve in plot.curves for x in curve.x], 0, 1, log=True).ticks
    axis.set_xticks(ticks, [brief(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(fontsize=7)
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
        _band(axis, curve, f"C{place}", label=f"{curve.number} {curve.name}")
    axis.legend(fontsize=7)
    axis.set_xlabel("epoch")
    axis.set_ylabel(plot.y_label)


def _band(axis: Any, curve: Curve, colour: str, **line: Any) -> None:
    """Draw a mean with one standard deviation to both sides."""
    axis.plot(curve.x, curve.y, color=colour, **line)
    axis.fill_between(curve.x, curve.y - curve.sd, curve.y + curve.sd, color=colour, alpha=0.15, linewidth=0)
