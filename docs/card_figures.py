"""What a trick does, drawn by the trick itself: images before and after, a curve of a strength that moves."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image
from torch import Tensor

from docs.gallery import COLUMNS, SIDE, photographs, row_of
from tricks.base import BatchTrick, Ramp, Trick

SHOWN = 4
"""Images of a row: they fill a telephone's width."""

_photographs = cache(photographs)


def grid(trick: Trick) -> tuple[bytes, list[str]] | None:
    """Draw images as they are (for a trick that mixes two, both rows), and below them what the trick makes of them.

    Returns:
        a JPEG of rows of `SHOWN` images, and the soft labels of the last row (none where labels stay); None: the trick
        leaves images as they are.
    """
    images, targets = _photographs()
    made = row_of(trick, images, targets)
    if made is None:
        return None
    drawn = trick.images_per_target if isinstance(trick, BatchTrick) else 1
    before = images.reshape(-1, COLUMNS, SIDE, SIDE, 3)[:drawn]
    # Most mixed first: a weak mixup leaves many images as they are.
    columns = sorted(range(len(made[1])), key=lambda i: -len(made[2][i]) if made[2] else i)[:SHOWN]
    rows = [*before[:, columns], made[1][columns]]
    whole = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "JPEG", quality=88)
    return file.getvalue(), [made[2][i] for i in columns if made[2]]


def curve(name: str, ramp: Ramp) -> str:
    """Draw a strength over the training as an SVG element, in the colour of the text around it."""
    width, height, left, top, bottom = 400, 160, 50, 12, 30
    shares = np.linspace(0, 1, 121)
    values = [ramp.at(float(share)) for share in shares]
    low, high = min(values), max(values)
    span = high - low or 1.0

    def place(share: float, value: float) -> str:
        x = left + share * (width - left - 10)
        return f"{x:.1f},{top + (high - value) / span * (height - top - bottom):.1f}"

    points = " ".join(place(float(share), value) for share, value in zip(shares, values, strict=True))
    labels = [(left - 6, top + 4, "end", f"{high:g}"), (left - 6, height - bottom + 4, "end", f"{low:g}")]
    labels += [(left, height - 6, "start", "0 %"), (width - 10, height - 6, "end", "100 % of the training")]
    text = "".join(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{word}</text>' for x, y, anchor, word in labels)
    return (
        f'<svg class="curve" viewBox="0 0 {width} {height}" role="img" aria-label="{name}: {ramp}">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="2"/>{text}</svg>'
    )


def shaped(targets: Tensor) -> str:
    """Write one row of targets (1, K)."""
    return "[" + ", ".join(f"{share:.3g}" for share in targets[0].tolist()) + "]"
