"""The report that ends a sweep."""

from __future__ import annotations

import sys
from pathlib import Path

from assemble.errors import UserError
from assemble.reporting.page import page
from assemble.reporting.report import make_report
from assemble.reporting.terminal import print_tables
from assemble.reporting.text import write


def report_sweep(folder: Path) -> None:
    """Print the table of a sweep's finished runs, and write ``report.html`` beside its ``jobs.jsonl``.

    Says nothing where no run is finished. The sweep's outcome is its jobs', so what goes wrong here is only told.
    """
    try:
        report = make_report([folder])
    except UserError:
        return
    try:
        print_tables(report.tables)
        write(folder / "report.html", page(report))
        print(f"report: {folder / 'report.html'}")
    except UserError as error:
        print(f"no report.html: {error}", file=sys.stderr)
