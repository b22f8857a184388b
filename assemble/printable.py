"""Names from elsewhere (classes, recipes, runs of others) that do nothing where they are shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, among them those that begin a terminal's commands; marks that turn the direction of writing."""
FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d+(\.\d+)?$)(?![\w +.,-]*$)")
"""How a text begins that a spreadsheet would compute. Sums of names (``+ sk``) call nothing."""


def printable(text: str) -> str:
    """Return the text on one line, with a replacement character for each character that is a command."""
    return UNSEEN.sub(lambda found: " " if found[0] in "\t\n\r\u2028\u2029" else "\N{REPLACEMENT CHARACTER}", text)


def printable_values(value: Any) -> Any:
    """Return what was read from JSON or YAML with every text in it, keys included, as `printable` has it."""
    if isinstance(value, Mapping):
        return {printable_values(key): printable_values(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [printable_values(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value


def csv_cell(value: Any) -> Any:
    """Return a cell of a CSV file: a text that a spreadsheet would take for a formula begins with ``'``."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(unicodedata.normalize("NFKC", value)) else value
