"""Text in columns, no line of it wider than the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable

NARROWEST = 30
"""Characters that the second column must have, or it stands below the first."""
MOST = 120
"""Characters of a line, however wide the terminal: longer ones are hard to read."""


def width() -> int:
    """Return the width of a line: the terminal's (or ``COLUMNS``), `MOST` where there is none."""
    return max(20, min(shutil.get_terminal_size((MOST, 24)).columns, MOST))


def paragraph(text: str, indent: str = "") -> str:
    """Return a text with its lines broken for the terminal."""
    return textwrap.fill(text, width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return two columns, the second broken into lines beside the first, or below it where there is little room."""
    rows, room = list(rows), width()
    first = max((len(name) for name, _ in rows), default=0)
    beside, lines = room - first - 4, list[str]()
    for name, about in rows:
        if beside >= NARROWEST:
            head, parts = f"  {name:{first}}  ", textwrap.wrap(about, beside, break_on_hyphens=False)
            lines.append(f"{head}{parts[0] if parts else ''}".rstrip())
            lines += [" " * len(head) + part for part in parts[1:]]
        else:
            lines.append(paragraph(name, "  "))
            lines += [paragraph(about, "      ")] if about else []
    return "\n".join(lines) or "  none yet"
