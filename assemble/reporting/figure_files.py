"""Drawings as files: SVG by itself; PNG and PDF by matplotlib, which sets the same shapes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assemble.errors import UserError
from assemble.reporting.drawing import Dot, Drawing, Shape, Text, framed
from assemble.reporting.error_curves import Panel
from assemble.reporting.figures import draw, draw_errors
from assemble.reporting.palette import LIGHT, OWN, STYLES
from assemble.reporting.plots import Plot
from assemble.reporting.svg import svg
from assemble.reporting.text import write

KINDS = ("png", "svg", "pdf")
DENSITY = 200
"""Dots per inch of a PNG, where a pixel of the drawing is a point: 1/72 inch."""


def save_plots(plots: Sequence[tuple[str, Plot]], folder: Path, kind: str = "png") -> Iterator[Path]:
    """Write one file for each (file name without ending, plot); yields its path once it is there.

    Raises:
        UserError: matplotlib is missing.
    """
    for name, plot in plots:
        path = folder / f"{name}.{kind}"
        save(framed(draw(plot), plot.caption), path)
        yield path


def save_error_curves(panels: Sequence[Panel], caption: str, path: Path) -> None:
    """Write the panels side by side, in the format that the file's ending names.

    Raises:
        UserError: the ending names no such format, or matplotlib is missing.
    """
    save(framed(draw_errors(panels), caption), path)


def save(drawing: Drawing, path: Path) -> None:
    """Write a drawing in the format that the file's ending names.

    Raises:
        UserError: it names none; matplotlib is missing, which PNG and PDF need.
    """
    kind = path.suffix[1:]
    if kind not in KINDS:
        raise UserError(f"{path} does not say what image it is: let its name end in .png, .svg or .pdf")
    if kind == "svg":
        write(path, svg(drawing, alone=True) + "\n")
        return
    image = io.BytesIO()
    figure(drawing).savefig(image, format=kind, dpi=DENSITY)
    write(path, image.getvalue())


def figure(drawing: Drawing) -> Any:
    """Set a drawing's shapes on one of matplotlib's axes, whose units are pixels.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError("plots as .png or .pdf need matplotlib: pip install -e '.[plot]'; .svg does not") from error
    made = Figure(figsize=(drawing.width / 72, drawing.height / 72), facecolor=LIGHT["card"])
    axis = made.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[])
    axis.set_xlim(0, drawing.width)
    axis.set_ylim(drawing.top + drawing.height, drawing.top)
    for order, group in enumerate(drawing.groups):
        for shape in group.shapes:
            _set(axis, shape, group.colour, order)
    return made


def _set(axis: Any, shape: Shape, own: str, order: int) -> None:
    from matplotlib.patches import Circle, Polygon

    style = STYLES[shape.kind]
    fill, stroke = (LIGHT[own if name == OWN else name] if name else "none" for name in (style.fill, style.stroke))
    if isinstance(shape, Text):
        axis.text(
            shape.x,
            shape.y,
            shape.text.replace("$", r"\$"),
            color=fill,
            fontsize=style.size * 0.92,  # its letters are wider than a browser's
            ha={"start": "left", "middle": "center", "end": "right"}[style.anchor],
            va="baseline",
            rotation=90 if shape.upright else 0,
            rotation_mode="anchor",
            fontweight="bold" if style.bold else "normal",
            zorder=order,
        )
        return
    look = {"facecolor": fill, "edgecolor": stroke, "linewidth": style.width, "alpha": style.opacity, "zorder": order}
    if isinstance(shape, Dot):
        axis.add_patch(Circle((shape.x, shape.y), shape.radius, **look))
    else:
        axis.add_patch(Polygon(shape.points, closed=bool(style.fill), joinstyle="round", **look))
