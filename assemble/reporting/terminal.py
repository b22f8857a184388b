"""The tables in the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

from assemble.reporting.columns import METHOD, Column, columns
from assemble.reporting.metrics import UNDECIDED
from assemble.reporting.table import Table
from assemble.reporting.text import footnotes, superscript

KEPT = 5
"""Columns that a narrow terminal folds; those after them it leaves out."""


def print_tables(tables: Sequence[Table]) -> None:
    """Print the tables, wide where the output is no terminal."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    for table in tables:
        shown = columns(table)
        while len(shown) > KEPT and width(console, rich_table(table, shown)) > console.width:
            shown.pop()
        console.print(rich_table(table, shown))
        left_out = [column.title for column in columns(table)[len(shown) :]]
        for line in footnotes(table):
            console.print(escape(line))
        if left_out:
            console.print(f"[dim]for want of width without {escape(', '.join(left_out))}[/dim]")
    console.print(f"[dim]{escape(METHOD)}[/dim]")


def width(console: Console, table: RichTable) -> int:
    """Return the width of a table in which nothing has to be folded."""
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum


def rich_table(table: Table, shown: Sequence[Column]) -> RichTable:
    """Turn some columns of a table into one of rich; a gain that is not told apart from none is dimmed."""
    rich = RichTable(title=escape(table.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in shown:
        rich.add_column(column.title, justify="right" if column.numeric else "left", no_wrap=column.numeric)
    for row in table.rows:
        first, *others = [escape(re.sub(r" (?=\[|\(seed)", "\n", column.cell(row))) for column in shown]
        cells = [f"[dim]{cell}[/dim]" if cell.startswith(UNDECIDED) else cell for cell in others]
        rich.add_row(first + superscript(table.marks(row)), *cells)
    return rich
