"""A report to the terminal, and to files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from assemble.printable import printable
from assemble.reporting.page import page
from assemble.reporting.plots import Plot, plots
from assemble.reporting.report import Report
from assemble.reporting.terminal import print_tables
from assemble.reporting.text import csv_text, insert, latex, markdown, write

NAMED = 5
"""Unfinished runs that are named."""


class Files(Protocol):
    """Paths of what is wanted; None: not wanted."""

    markdown: str | None
    csv: str | None
    latex: str | None
    html: str | None
    png: str | None
    svg: str | None
    pdf: str | None
    curves: str | None


def tell(report: Report) -> None:
    """Print the tables; on stderr what was passed over, and what is unfinished."""
    print_tables(report.tables)
    for line in report.found.problems:
        print(printable(line), file=sys.stderr)
    names = [printable(path.name) for path in report.found.unfinished]
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        print(f"{len(names)} unfinished: {', '.join(names[:NAMED])}{more}", file=sys.stderr)


def write_files(report: Report, files: Files) -> Iterator[Path]:
    """Write the files that are wanted; yields each path once it is there."""

    def wanted(file: str | None) -> Iterator[Path]:
        if file:
            yield Path(file).expanduser()

    for path in wanted(files.markdown):
        insert(path, markdown(report.tables))
        yield path
    for file, text in ((files.csv, csv_text), (files.latex, latex)):
        for path in wanted(file):
            write(path, text(report.tables))
            yield path
    for path in wanted(files.html):
        write(path, page(report))
        yield path
    for kind, file in (("png", files.png), ("svg", files.svg), ("pdf", files.pdf)):
        for folder in wanted(file):
            from assemble.reporting.figure_files import save_plots

            yield from save_plots(named_plots(report), folder, kind)
    for path in wanted(files.curves):
        from assemble.reporting.error_curves import caption, panels
        from assemble.reporting.figure_files import save_error_curves

        save_error_curves(panels(report.tables), caption(report.tables), path)
        yield path


def named_plots(report: Report) -> list[tuple[str, Plot]]:
    """Return a file name for each plot."""
    return [
        ("-".join([*([] if len(report.tables) == 1 else [table.title.replace("/", "_")]), plot.name]), plot)
        for table in report.tables
        for plot in plots(table, report.gains.get(table.title, []))
    ]
