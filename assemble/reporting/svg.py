"""Plots as inline SVG. Colours come from the page's style sheet, so that they follow its light and dark theme."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from assemble.reporting.metrics import brief
from assemble.reporting.plots import NUMBERED, Curves, Forest, Lines, Plot, Scatter

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 12, 44
LINE = 26
"""Height of one line of a forest plot."""


def svg(plot: Plot) -> str:
    """Draw a plot as an ``<svg>`` element."""
    if isinstance(plot, Scatter):
        return _scatter(plot)
    if isinstance(plot, Lines):
        return _lines(plot)
    return _forest(plot) if isinstance(plot, Forest) else _curves(plot)


@dataclass(frozen=True)
class Scale:
    """Numbers -> pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False
    """Whole numbers only at the ticks."""

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round numbers within."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        else:
            step = _round_step((self.high - self.low) / 5)
            step = max(1, round(step)) if self.whole else step
            found = [step * place for place in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [tick for tick in found if self.low <= tick <= self.high]


def scale(values: Sequence[float], start: float, end: float, log: bool = False, whole: bool = False) -> Scale:
    """Make a scale with some air around all values."""
    low, high = min(values), max(values)
    if log:
        return Scale(low / 1.25, high * 1.25, start, end, log)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(low - air, high + air, start, end, whole=whole)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= step * 0.999)


def _scatter(plot: Scatter) -> str:
    x = scale([p.x for p in plot.points], LEFT, WIDTH - RIGHT, plot.log)
    ends = [end for p in plot.points for end in (p.y - (p.sd or 0), p.y + (p.sd or 0))]
    y = scale(ends, HEIGHT - BOTTOM, TOP)
    parts = [_axes(x, y, plot.x_label, plot.y_label, plot.x_text)]
    taken: list[tuple[float, float]] = []
    for p in plot.points:
        px, py = x(p.x), y(p.y)
        error = _line(px, y(p.y - p.sd), px, y(p.y + p.sd), "error") if p.sd else ""
        drawn = f'{error}<circle cx="{px:.1f}" cy="{py:.1f}" r="5"/>'
        if len(plot.points) <= NUMBERED:
            tx, ty = _free(px, py, taken)
            drawn += f'<text x="{tx:.1f}" y="{ty:.1f}" class="number">{p.number}</text>'
        parts.append(_marked(p.number, p.tip, drawn, "point"))
    return _svg(plot.title, HEIGHT, parts)


def _free(x: float, y: float, taken: list[tuple[float, float]]) -> tuple[float, float]:
    """Find a place for a number beside a point that no number has yet, if there is one."""
    places = [(x + right, y + below) for right in (8, -18) for below in (-5, 13)]
    free = (p for p in places if all(abs(p[0] - t[0]) > 14 or abs(p[1] - t[1]) > 11 for t in taken))
    taken.append(next(free, places[0]))
    return taken[-1]


def _forest(plot: Forest) -> str:
    height = TOP + LINE * len(plot.bars) + BOTTOM
    left = min(240, 20 + 7 * max(len(bar.name) for bar in plot.bars))
    ends = [0.0, *(end for bar in plot.bars for end in (*(bar.gain.interval or ()), bar.gain.mean))]
    x = scale(ends, left, WIDTH - 180)
    parts = [_ticks_x(x, height, plot.x_label, _plain), _line(x(0), TOP, x(0), height - BOTTOM, "zero")]
    for place, bar in enumerate(plot.bars):
        y = TOP + LINE * (place + 0.5)
        kind = {True: "gain", False: "undecided", None: "single"}[bar.gain.told_apart]
        interval = bar.gain.interval
        error = _line(x(interval[0]), y, x(interval[1]), y, "error") if interval else ""
        name = bar.name if len(bar.name) <= 32 else f"{bar.name[:31]}…"
        drawn = (
            f'<text x="{left - 10}" y="{y + 4:.1f}" class="name">{escape(name)}</text>{error}'
            f'<circle cx="{x(bar.gain.mean):.1f}" cy="{y:.1f}" r="5"/>'
            f'<text x="{WIDTH - 170}" y="{y + 4:.1f}" class="value">{escape(bar.text)}</text>'
        )
        parts.append(_marked(None, bar.tip, drawn, kind))
    return _svg(plot.title, height, parts)


def _curves(plot: Curves) -> str:
    legend = 20 * math.ceil(len(plot.curves) / 2)
    height = HEIGHT + legend
    x = scale([end for c in plot.curves for end in (c.x[0], c.x[-1])], LEFT, WIDTH - RIGHT, whole=True)
    ends = [float(end) for c in plot.curves for end in ((c.y - c.sd).min(), (c.y + c.sd).max())]
    y = scale(ends, HEIGHT - BOTTOM, TOP)
    parts = [_axes(x, y, "epoch", plot.y_label, _plain)]
    for place, c in enumerate(plot.curves):
        upper = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(c.x, c.y + c.sd, strict=True)]
        lower = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(c.x, c.y - c.sd, strict=True)]
        line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(c.x, c.y, strict=True))
        drawn = (
            f'<polygon points="{" ".join(upper + lower[::-1])}"/><polyline points="{line}"/>'
            f"{_key(place, f'{c.number} {c.name}')}"
        )
        last = f"{c.number} · {c.name}\nlast epoch: {c.y[-1]:.2f}" + (f" ± {c.sd[-1]:.2f}" if c.sd[-1] else "")
        parts.append(_marked(c.number, last, drawn, f"curve c{place}"))
    return _svg(plot.title, height, parts)


def _lines(plot: Lines) -> str:
    height = HEIGHT + 20 * math.ceil(len(plot.curves) / 2)
    x = scale([float(end) for c in plot.curves for end in c.x], LEFT, WIDTH - RIGHT, log=True)
    ends = [float(end) for c in plot.curves for end in ((c.y - c.sd).min(), (c.y + c.sd).max())]
    y = scale(ends, HEIGHT - BOTTOM, TOP)
    parts = [_axes(x, y, plot.x_label, plot.y_label, brief)]
    for place, c in enumerate(plot.curves):
        points = [(x(a), y(b), y(b - half), y(b + half)) for a, b, half in zip(c.x, c.y, c.sd, strict=True)]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py, *_ in points)
        bars = "".join(_line(px, low, px, high, "error") for px, _, low, high in points)
        dots = "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5"/>' for px, py, *_ in points)
        told = [f"{brief(a)}: {b:.2f} ± {half:.2f}" for a, b, half in zip(c.x, c.y, c.sd, strict=True)]
        drawn = f'<polyline points="{line}"/>{bars}{dots}{_key(place, c.name)}'
        parts.append(_marked(None, "\n".join([c.name, *told]), drawn, f"curve c{place}"))
    return _svg(plot.title, height, parts)


def _key(place: int, name: str) -> str:
    """Draw the legend of one line, below the plot."""
    x, y = LEFT + (place % 2) * (WIDTH - LEFT) / 2, HEIGHT + 14 + 20 * (place // 2)
    name = name if len(name) <= 40 else f"{name[:39]}…"
    return (
        f'<line x1="{x:.0f}" y1="{y - 4}" x2="{x + 18:.0f}" y2="{y - 4}" class="key"/>'
        f'<text x="{x + 24:.0f}" y="{y}" class="legend">{escape(name)}</text>'
    )


def _axes(x: Scale, y: Scale, x_label: str, y_label: str, x_text: Callable[[float], str]) -> str:
    """Draw grid, numbers and names of both axes."""
    parts = [_ticks_x(x, HEIGHT, x_label, x_text)]
    for tick in y.ticks:
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" class="tick y">{_plain(tick)}</text>')
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts.append(f'<text transform="translate(14 {middle:.0f}) rotate(-90)" class="axis">{escape(y_label)}</text>')
    return "".join(parts)


def _ticks_x(x: Scale, height: float, label: str, text: Callable[[float], str]) -> str:
    """Draw grid, numbers and name of the horizontal axis."""
    parts = []
    for tick in x.ticks:
        parts.append(_line(x(tick), TOP, x(tick), height - BOTTOM, "grid"))
        parts.append(f'<text x="{x(tick):.1f}" y="{height - BOTTOM + 18}" class="tick">{escape(text(tick))}</text>')
    parts.append(f'<text x="{(x.start + x.end) / 2:.0f}" y="{height - 8}" class="axis">{escape(label)}</text>')
    return "".join(parts)


def _plain(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _marked(number: int | None, tip: str, drawn: str, kind: str) -> str:
    """Draw a group that says what it is when it is pointed at, and belongs to a row of the table."""
    row, tip = f' data-row="{number}"' if number else "", escape(tip)
    return f'<g class="{kind}" tabindex="0" role="img" aria-label="{tip}" data-tip="{tip}"{row}>{drawn}</g>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="group" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
