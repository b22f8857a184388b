"""Which class is taken for which: tables and an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assemble.atomic import write_whole
from assemble.printable import csv_cell

READABLE = 40
"""Classes up to which an image of the matrix has their names on it."""


def class_rows(confusion: np.ndarray, names: Sequence[str]) -> list[tuple[str, int, float, str, int]]:
    """Return (class, images, accuracy in %, what it is mistaken for most often, how often), of classes with any."""
    rows = []
    for i, counts in enumerate(confusion):
        if not counts.sum():
            continue
        others = counts.copy()
        others[i] = 0
        worst = int(others.argmax())
        accuracy = 100 * float(counts[i] / counts.sum())
        rows.append((names[i], int(counts.sum()), accuracy, names[worst] if others[worst] else "", int(others[worst])))
    return rows


def write_tables(folder: Path, confusion: np.ndarray, names: Sequence[str]) -> None:
    """Write ``classes.csv``, a line a class, and ``confusion.csv``, true classes down and predicted ones across."""
    head = ("class", "images", "top1", "mistaken_for", "times")
    _write(folder / "classes.csv", [head, *class_rows(confusion, names)])
    matrix = [[name, *counts] for name, counts in zip(names, confusion.tolist(), strict=True)]
    _write(folder / "confusion.csv", [["true / predicted", *names], *matrix])


def _write(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([csv_cell(value) for value in row] for row in rows)
    write_whole(path, text.getvalue())


def draw(path: Path, confusion: np.ndarray, names: Sequence[str]) -> bool:
    """Draw the matrix, each row in shares of its class; return False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    shares = confusion / confusion.sum(1, keepdims=True).clip(min=1)
    side = min(max(4.0, 0.35 * len(names)), 12.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= READABLE:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    figure.colorbar(image, label="share of the class", shrink=0.8)
    figure.savefig(path, dpi=110)
    return True
