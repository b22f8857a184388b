"""A drawing as shapes in pixels, x to the right and y down: what the page and files of all formats show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from textwrap import wrap

XY = tuple[float, float]


@dataclass(frozen=True)
class Path:
    """A line through points, or, of the kind ``band``, the area within."""

    kind: str
    """One of `assemble.reporting.palette.STYLES`, as of the other shapes."""
    points: Sequence[XY]


@dataclass(frozen=True)
class Dot:
    """A filled circle, or a ring."""

    kind: str
    x: float
    y: float
    radius: float = 5.0


@dataclass(frozen=True)
class Text:
    """A line of text; ``y`` is its base line."""

    kind: str
    x: float
    y: float
    text: str
    upright: bool = False
    """Turned by a quarter to the left."""


Shape = Path | Dot | Text


@dataclass(frozen=True)
class Group:
    """Shapes of one colour that belong together."""

    shapes: Sequence[Shape]
    colour: str = "ink"
    """A name of `assemble.reporting.palette.LIGHT`."""
    tip: str = ""
    """What it says when it is pointed at."""
    row: int | None = None
    """The row of the table that it is of."""


@dataclass(frozen=True)
class Drawing:
    """Groups within ``width`` x ``height`` pixels below ``top``."""

    title: str
    width: float
    height: float
    groups: Sequence[Group] = field(default_factory=list)
    top: float = 0.0


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Path:
    return Path(kind, [(x1, y1), (x2, y2)])


def framed(drawing: Drawing, caption: str) -> Drawing:
    """Add its title above, and a caption below, for a figure that stands alone."""
    lines = wrap(caption, int(drawing.width / 5.2))
    texts = [Text("title", 12, -14, drawing.title)]
    texts += [Text("caption", 12, drawing.height + 16 + 14 * place, text) for place, text in enumerate(lines)]
    height = drawing.height + 14 * len(lines) + 46
    return replace(drawing, top=-36, height=height, groups=[*drawing.groups, Group(texts)])
