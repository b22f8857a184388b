"""Drawings as SVG: in the page, whose style sheet has the colours (it follows light and dark), or alone as a file."""

from __future__ import annotations

from html import escape

from assemble.reporting.drawing import Dot, Drawing, Group, Shape, Text
from assemble.reporting.palette import LIGHT, OWN, STYLES

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def svg(drawing: Drawing, alone: bool = False) -> str:
    """Return a drawing as an ``<svg>`` element.

    Args:
        alone: it brings its colours, those of the page by day, and a background.
    """
    low, width, height = drawing.top, drawing.width, drawing.height
    size = f' width="{width:g}" height="{height:g}" font-family="{FONT}"' if alone else ""
    ground = f'<rect y="{low:g}" width="{width:g}" height="{height:g}" fill="{LIGHT["card"]}"/>' if alone else ""
    return (
        f'<svg viewBox="0 {low:g} {width:g} {height:g}" role="group" aria-label="{escape(drawing.title)}"{size} '
        f'xmlns="http://www.w3.org/2000/svg">{ground}{"".join(_group(group, alone) for group in drawing.groups)}</svg>'
    )


def _group(group: Group, alone: bool) -> str:
    shapes = "".join(
        _shape(shape, _paint(shape, group.colour) if alone else f'class="{shape.kind}"') for shape in group.shapes
    )
    colour = "" if alone else f' style="--own: var(--{group.colour})"'
    if not group.tip:
        return f"<g{colour}>{shapes}</g>"
    tip = escape(group.tip)
    row = f' data-row="{group.row}"' if group.row else ""
    told = f"<title>{tip}</title>" if alone else ""
    live = "" if alone else f' tabindex="0" data-tip="{tip}"{row}'
    return f'<g role="img" aria-label="{tip}"{live}{colour}>{told}{shapes}</g>'


def _shape(shape: Shape, paint: str) -> str:
    if isinstance(shape, Dot):
        return f'<circle cx="{shape.x:.1f}" cy="{shape.y:.1f}" r="{shape.radius:g}" {paint}/>'
    if isinstance(shape, Text):
        turn = f' transform="rotate(-90 {shape.x:.1f} {shape.y:.1f})"' if shape.upright else ""
        return f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" {paint}{turn}>{escape(shape.text)}</text>'
    element = "polygon" if STYLES[shape.kind].fill else "polyline"
    return f'<{element} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)}" {paint}/>'


def _paint(shape: Shape, own: str) -> str:
    """Return a shape's style as attributes, for programs that know no style sheets."""
    style = STYLES[shape.kind]
    fill, stroke = (LIGHT[own if name == OWN else name] if name else "none" for name in (style.fill, style.stroke))
    paint = f'fill="{fill}" stroke="{stroke}"'
    paint += f' stroke-width="{style.width:g}"' if style.width else ""
    paint += f' opacity="{style.opacity:g}"' if style.opacity < 1 else ""
    if isinstance(shape, Text):
        paint += f' font-size="{style.size:g}" text-anchor="{style.anchor}"' + ' font-weight="650"' * style.bold
    return paint
