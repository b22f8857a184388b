"""Names from elsewhere do nothing where they are shown."""

import pytest

from assemble.printable import csv_cell, printable, printable_values

STRANGE = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tench, Tinca tinca", "tench, Tinca tinca"),
        ("één ≈ 一 🐟", "één ≈ 一 🐟"),
        ("\x1b[31mred", f"{STRANGE}[31mred"),
        ("a\nerror: b\tc", "a error: b c"),
        ("\x9b2J", f"{STRANGE}2J"),
        ("user\u202egpj.exe", f"user{STRANGE}gpj.exe"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_values() -> None:
    assert printable_values({"a\x07": ["\x1b", 1, None, {"b": True}]}) == {
        f"a{STRANGE}": [STRANGE, 1, None, {"b": True}]
    }


@pytest.mark.parametrize("value", [1.5, None, True, "sk", "+ sk", "- sk + mixup", "-0.5", "+1", "a=b", "all (e06)"])
def test_cells_that_stay(value: object) -> None:
    assert csv_cell(value) == value


@pytest.mark.parametrize("value", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|'x'!A0", "\t=1", "\uff1d1+1"])
def test_cells_that_would_be_computed(value: str) -> None:
    assert csv_cell(value) == f"'{value}"
