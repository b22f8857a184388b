"""Plots -> drawings: where everything stands. One code for the page and for files of all formats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from assemble.reporting.drawing import XY, Dot, Drawing, Group, Path, Shape, Text, line
from assemble.reporting.error_curves import Panel
from assemble.reporting.metrics import brief
from assemble.reporting.palette import series
from assemble.reporting.plots import NUMBERED, Curve, Curves, Forest, Lines, Plot, Point, Scatter

WIDTH, HEIGHT = 480, 310
"""Of a plot with axes: on a narrow telephone two thirds of it are left, and its letters can be read."""
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 42
BAR = 40
"""Height of a gain: its name and number above its interval."""
PANEL = 112
"""Height of one learning curve."""
RADIUS, SMALL = 8.5, 4.0
"""Of points with a number in them, and without."""


def draw(plot: Plot) -> Drawing:
    """Draw a plot."""
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
    steps: int = 5
    """Ticks, about."""

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
            step = _round_step((self.high - self.low) / self.steps)
            step = max(1, round(step)) if self.whole else step
            found = [step * place for place in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [tick for tick in found if self.low <= tick <= self.high]


def scale(
    values: Sequence[float], start: float, end: float, log: bool = False, whole: bool = False, steps: int = 5
) -> Scale:
    """Make a scale with some air around all values."""
    low, high = min(values), max(values)
    if log:
        return Scale(low / 1.25, high * 1.25, start, end, log)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(low - air, high + air, start, end, whole=whole, steps=steps)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= step * 0.999)


def _scatter(plot: Scatter) -> Drawing:
    x = scale([p.x for p in plot.points], LEFT + RADIUS, WIDTH - RIGHT - RADIUS, plot.log)
    ends = [end for p in plot.points for end in (p.y - (p.sd or 0), p.y + (p.sd or 0))]
    y = scale(ends, HEIGHT - BOTTOM, TOP)
    numbered = len(plot.points) <= NUMBERED
    radius = RADIUS if numbered else SMALL
    groups = [_axes(x, y, plot.x_label, plot.y_label, plot.x_text)]
    for p, (px, py) in zip(plot.points, _side_by_side(plot.points, x, y, radius), strict=True):
        shapes: list[Shape] = [line("error", px, y(p.y - p.sd), px, y(p.y + p.sd))] if p.sd else []
        shapes.append(Dot("dot", px, py, radius))
        shapes += [Text("number", px, py + 3.5, str(p.number))] * numbered
        groups.append(Group(shapes, "accent", p.tip, p.number))
    return Drawing(plot.title, WIDTH, HEIGHT, groups)


def _side_by_side(points: Sequence[Point], x: Scale, y: Scale, radius: float) -> Iterator[XY]:
    """Move points of like cost sideways, each as little as it takes, until none covers another or its error bar."""
    taken: list[tuple[float, float, float]] = []
    for p in points:
        at, half = y(p.y), max(radius, abs(y(0) - y(p.sd or 0)))

        def free(px: float, at: float = at, half: float = half) -> bool:
            apart = (
                math.hypot(px - other_x, at - other) >= 2 * radius + 1
                and (abs(px - other_x) >= 6 or abs(at - other) >= half + other_half)
                for other_x, other, other_half in taken
            )
            return all(apart)

        steps = (x(p.x) + side * radius * step / 2 for step in range(len(points) * 8) for side in (1, -1))
        inside = (px for px in steps if LEFT + radius <= px <= WIDTH - RIGHT - radius)
        px = next(filter(free, inside), x(p.x))
        taken.append((px, at, half))
        yield px, at


def _forest(plot: Forest) -> Drawing:
    height = TOP + BAR * len(plot.bars) + BOTTOM
    ends = [0.0, *(end for bar in plot.bars for end in (*(bar.gain.interval or ()), bar.gain.mean))]
    x = scale(ends, 16, WIDTH - 16)
    tops = [TOP + BAR * place for place in range(len(plot.bars))]
    zeros = [line("zero", x(0), top + 17, x(0), top + 35) for top in tops]  # not through the names
    groups = [Group([*_ticks_x(x, height, plot.x_label, _plain), *zeros])]
    for top, bar in zip(tops, plot.bars, strict=True):
        at, told = top + 26, bar.gain.told_apart
        colour = "soft" if not told else "good" if bar.gain.mean > 0 else "bad"
        room = 67 - len(bar.text)  # letters, of wide ones too
        name = bar.name if len(bar.name) <= room else f"{bar.name[: room - 1]}…"
        shapes: list[Shape] = [Text("name", 8, top + 13, name), Text("value", WIDTH - 8, top + 13, bar.text)]
        if bar.gain.interval:
            low, high = bar.gain.interval
            shapes.append(line("error", x(low), at, x(high), at))
        shapes.append(Dot("ring" if told is None else "dot", x(bar.gain.mean), at))
        groups.append(Group(shapes, colour, bar.tip, bar.number))
    return Drawing(plot.title, WIDTH, height, groups)


def _curves(plot: Curves) -> Drawing:
    """Draw each row by itself, over the line of the baseline: any number can be told apart."""
    columns = 2 if len(plot.curves) <= 4 else 3
    lines = max(len(_wrapped(c, columns)) for c in plot.curves)
    width, tall = (WIDTH - LEFT) / columns, PANEL + 13 * lines
    rows = math.ceil(len(plot.curves) / columns)
    height = TOP + tall * rows + 22
    every = [*plot.curves, *([plot.baseline] if plot.baseline else [])]
    ends = [float(end) for c in every for end in (*(c.y - c.sd), *(c.y + c.sd))]
    epochs = [end for c in every for end in (c.x[0], c.x[-1])]
    back: list[Shape] = [Text("axis", 12, (TOP + height - 22) / 2, plot.y_label, upright=True)]
    groups = []
    for place, c in enumerate(plot.curves):
        left, top = LEFT + width * (place % columns), TOP + tall * (place // columns)
        x = scale(epochs, left, left + width - RIGHT, whole=True, steps=3)
        y = scale(ends, top + tall - 22, top + 13 * lines + 4, steps=3)
        for tick in y.ticks:
            back.append(line("grid", left, y(tick), left + width - RIGHT, y(tick)))
            if place % columns == 0:
                back.append(Text("ytick", left - 5, y(tick) + 4, _plain(tick)))
        if place + columns >= len(plot.curves):
            back += [Text("tick", x(tick), top + tall - 7, _plain(tick)) for tick in x.ticks]
        shapes: list[Shape] = [
            Text("small", left, top + 10 + 13 * number, text) for number, text in enumerate(_wrapped(c, columns))
        ]
        if plot.baseline and c.number != plot.baseline.number:
            shapes.append(Path("reference", _points(plot.baseline, x, y)))
        groups.append(Group([*shapes, *_band(c, x, y)], "accent", _last(c), c.number))
    back.append(Text("axis", (LEFT + WIDTH - RIGHT) / 2, height - 4, "epoch"))
    return Drawing(plot.title, WIDTH, height, [Group(back), *groups])


def _wrapped(curve: Curve, columns: int) -> list[str]:
    """Return a row's number and name in lines that a panel has room for, three at most."""
    return wrap(f"{curve.number} {curve.name}", 32 if columns == 2 else 21, max_lines=3, placeholder=" …")


def _last(curve: Curve) -> str:
    sd = f" ± {curve.sd[-1]:.2f}" if curve.sd[-1] else ""
    return f"{curve.number} · {curve.name}\nlast epoch: {curve.y[-1]:.2f}{sd}"


def _lines(plot: Lines) -> Drawing:
    height = HEIGHT + 18 * len(plot.curves)
    x = scale([float(end) for c in plot.curves for end in c.x], LEFT, WIDTH - RIGHT, log=True)
    ends = [float(end) for c in plot.curves for end in ((c.y - c.sd).min(), (c.y + c.sd).max())]
    y = scale(ends, HEIGHT - BOTTOM, TOP)
    groups = [_axes(x, y, plot.x_label, plot.y_label, brief)]
    for place, c in enumerate(plot.curves):
        shapes: list[Shape] = [Path("curve", _points(c, x, y))]
        for a, b, half in zip(c.x, c.y, c.sd, strict=True):
            shapes += [line("error", x(a), y(b - half), x(a), y(b + half)), Dot("dot", x(a), y(b), SMALL)]
        told = [f"{brief(a)}: {b:.2f} ± {half:.2f}" for a, b, half in zip(c.x, c.y, c.sd, strict=True)]
        shapes += _key(LEFT, HEIGHT + 12 + 18 * place, c.name)
        groups.append(Group(shapes, series(place), "\n".join([c.name, *told])))
    return Drawing(plot.title, WIDTH, height, groups)


def draw_errors(panels: Sequence[Panel]) -> Drawing:
    """Draw training (thin) and validation error (bold) by epoch, the panels side by side; a depth has one colour."""
    width, keys = 300, max(len(panel.errors) for panel in panels)
    total = LEFT + width * len(panels)
    depths = sorted({errors.depth for panel in panels for errors in panel.errors})
    every = [c for p in panels for e in p.errors for c in (e.training, e.validation) if c]
    y = Scale(0.0, 1.05 * max(float((c.y + c.sd).max()) for c in every) or 1.0, HEIGHT - BOTTOM, 24)
    back: list[Shape] = [Text("axis", 12, (HEIGHT - BOTTOM + 24) / 2, "error %", upright=True)]
    groups = []
    for place, panel in enumerate(panels):
        left = LEFT + width * place
        curves = [c for e in panel.errors for c in (e.training, e.validation) if c]
        x = scale([end for c in curves for end in (c.x[0], c.x[-1])], left, left + width - RIGHT, whole=True)
        back += [*_ticks_x(x, HEIGHT, "epoch", _plain, top=24), Text("name", left, 14, panel.title)]
        back += [line("grid", left, y(tick), left + width - RIGHT, y(tick)) for tick in y.ticks]
        back += [Text("ytick", left - 6, y(tick) + 4, _plain(tick)) for tick in y.ticks if not place]
        for number, errors in enumerate(panel.errors):
            shapes = _band(errors.training, x, y, "thin") if errors.training else []
            shapes += [*_band(errors.validation, x, y), *_key(left, HEIGHT + 12 + 18 * number, errors.name)]
            colour = series(depths.index(errors.depth))
            groups.append(Group(shapes, colour, f"{errors.name}\nlast epoch: {errors.validation.y[-1]:.2f}"))
    return Drawing("Training and validation error", total, HEIGHT + 18 * keys + 4, [Group(back), *groups])


def _points(curve: Curve, x: Scale, y: Scale) -> list[XY]:
    return [(x(a), y(b)) for a, b in zip(curve.x, curve.y, strict=True)]


def _band(curve: Curve, x: Scale, y: Scale, kind: str = "curve") -> list[Shape]:
    """Draw a mean with one standard deviation to both sides."""
    upper = [(x(a), y(b)) for a, b in zip(curve.x, curve.y + curve.sd, strict=True)]
    lower = [(x(a), y(b)) for a, b in zip(curve.x, curve.y - curve.sd, strict=True)]
    band: list[Shape] = [Path("band", [*upper, *reversed(lower)])] if curve.sd.any() else []
    return [*band, Path(kind, _points(curve, x, y))]


def _key(x: float, y: float, name: str) -> list[Shape]:
    """Draw the legend of one line."""
    return [line("curve", x, y - 4, x + 18, y - 4), Text("small", x + 24, y, name)]


def _axes(x: Scale, y: Scale, x_label: str, y_label: str, x_text: Callable[[float], str]) -> Group:
    """Draw grid, numbers and names of both axes."""
    shapes = _ticks_x(x, HEIGHT, x_label, x_text)
    for tick in y.ticks:
        shapes.append(line("grid", LEFT, y(tick), WIDTH - RIGHT, y(tick)))
        shapes.append(Text("ytick", LEFT - 6, y(tick) + 4, _plain(tick)))
    return Group([*shapes, Text("axis", 12, (HEIGHT - BOTTOM + TOP) / 2, y_label, upright=True)])


def _ticks_x(x: Scale, height: float, label: str, text: Callable[[float], str], top: float = TOP) -> list[Shape]:
    """Draw grid, numbers and name of the horizontal axis."""
    shapes: list[Shape] = []
    for tick in x.ticks:
        shapes.append(line("grid", x(tick), top, x(tick), height - BOTTOM))
        shapes.append(Text("tick", x(tick), height - BOTTOM + 16, text(tick)))
    return [*shapes, Text("axis", (x.start + x.end) / 2, height - 8, label)]


def _plain(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
