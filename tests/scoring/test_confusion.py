"""Tables and images of confusions."""

import builtins
import csv

import numpy as np
import pytest

from assemble.scoring.confusion import class_rows, draw, write_tables

COUNTS = np.array([[8, 2, 0], [0, 0, 0], [1, 3, 4]])
NAMES = ["cat", "dog", "emu, bird"]


def test_classes():
    rows = class_rows(COUNTS, NAMES)
    assert rows == [("cat", 10, 80.0, "dog", 2), ("emu, bird", 8, 50.0, "dog", 3)]
    assert class_rows(np.eye(2, dtype=int), ["a", "b"])[0] == ("a", 1, 100.0, "", 0)


def test_tables(tmp_path):
    write_tables(tmp_path, COUNTS, NAMES)
    with (tmp_path / "confusion.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["true / predicted", *NAMES]
    assert rows[3] == ["emu, bird", "1", "3", "4"]
    with (tmp_path / "classes.csv").open(newline="") as file:
        assert [row["top1"] for row in csv.DictReader(file)] == ["80.0", "50.0"]


def test_image(tmp_path):
    pytest.importorskip("matplotlib")
    assert draw(tmp_path / "c.png", COUNTS, NAMES)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert not draw(tmp_path / "c.png", COUNTS, NAMES)
