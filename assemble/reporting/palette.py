"""The colours and the strokes of the page and of every figure, in one place."""

from __future__ import annotations

from dataclasses import dataclass

LIGHT = {
    "paper": "#fcfcfb",
    "card": "#ffffff",
    "ink": "#1b2230",
    "soft": "#667085",
    "line": "#e4e7ec",
    "hover": "#f2f5fb",
    "accent": "#2f5fd0",
    "good": "#12734a",
    "bad": "#b3261e",
    "c0": "#2f5fd0",
    "c1": "#d1650a",
    "c2": "#12866a",
    "c3": "#b5338a",
    "c4": "#7a5af0",
    "c5": "#8a6d00",
    "c6": "#0b86a8",
    "c7": "#6b7280",
}
"""Name -> colour: on paper, in figures that are files, and in the page by day."""
DARK = {
    "paper": "#12151b",
    "card": "#191d25",
    "ink": "#e6e9ef",
    "soft": "#98a2b3",
    "line": "#2b313c",
    "hover": "#212733",
    "accent": "#86a8ff",
    "good": "#5fd0a0",
    "bad": "#ff8f85",
    "c0": "#86a8ff",
    "c1": "#ffa45c",
    "c2": "#4fd1ae",
    "c3": "#f08acb",
    "c4": "#b7a3ff",
    "c5": "#e0c04a",
    "c6": "#5cc8e6",
    "c7": "#a7afbd",
}
"""The same in a page that is read in the dark."""
SERIES = 8
"""Colours that tell lines apart."""
OWN = "own"
"""In a style: the colour of the group that the shape belongs to."""


def series(place: int) -> str:
    """Return the name of a line's colour."""
    return f"c{place % SERIES}"


@dataclass(frozen=True)
class Style:
    """How a shape is drawn; sizes in pixels."""

    fill: str = ""
    stroke: str = ""
    width: float = 0.0
    opacity: float = 1.0
    size: float = 12.0
    """Of text."""
    anchor: str = "start"
    bold: bool = False


STYLES = {
    "grid": Style(stroke="line", width=1),
    "zero": Style(stroke="soft", width=1),
    "error": Style(stroke=OWN, width=2, opacity=0.6),
    "curve": Style(stroke=OWN, width=2),
    "thin": Style(stroke=OWN, width=0.9),
    "reference": Style(stroke="soft", width=1, opacity=0.8),
    "band": Style(fill=OWN, opacity=0.15),
    "dot": Style(fill=OWN, stroke="card", width=1.5),
    "ring": Style(fill="card", stroke=OWN, width=1.5),
    "tick": Style(fill="soft", size=11, anchor="middle"),
    "ytick": Style(fill="soft", size=11, anchor="end"),
    "axis": Style(fill="soft", anchor="middle"),
    "name": Style(fill="ink"),
    "small": Style(fill="ink", size=10.5),
    "value": Style(fill=OWN, size=11, anchor="end"),
    "number": Style(fill="card", size=10, anchor="middle", bold=True),
    "title": Style(fill="ink", size=14, bold=True),
    "caption": Style(fill="soft", size=10),
}
"""What a shape is -> its style."""


def css() -> str:
    """Return the colours as variables, and the styles as classes of an SVG."""
    themes = [" ".join(f"--{name}: {colour};" for name, colour in palette.items()) for palette in (LIGHT, DARK)]
    lines = [f":root {{ {themes[0]} }}", f"@media (prefers-color-scheme: dark) {{ :root {{ {themes[1]} }} }}"]
    for kind, style in STYLES.items():
        rules = [f"fill: {_variable(style.fill)}", f"stroke: {_variable(style.stroke)}"]
        rules += [f"stroke-width: {style.width:g}px"] if style.width else []
        rules += [f"opacity: {style.opacity:g}"] if style.opacity < 1 else []
        rules += [f"font-size: {style.size:g}px", f"text-anchor: {style.anchor}"]
        rules += ["font-weight: 650"] if style.bold else []
        lines.append(f"svg .{kind} {{ {'; '.join(rules)}; }}")
    return "\n".join(lines)


def _variable(colour: str) -> str:
    return f"var(--{colour})" if colour else "none"
