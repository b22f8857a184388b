"""The ablation table of finished runs: ``python report.py runs/``, at any time, also while others train.

Imports are late on purpose: a typo is answered at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from assemble.command_line.one_line_errors import one_line_errors


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from assemble.errors import UserError

    class OneLine(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UserError(f"{message}. See python report.py --help")

    made = OneLine(prog="report.py", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    add = made.add_argument
    add("folders", nargs="*", type=Path, default=[Path("runs")], help="of runs, or of a sweep (runs/sweeps/TIME); runs")
    add("--metric", default="top1", help="what gains are of: top1, top5, loss, ece, mce, throughput, ...; top1")
    add("--baseline", help="the row that gains are over: a label, recipe, run id or hash; the first row")
    add("--recipe", action="append", default=[], help="only runs of this recipe (a pattern: 'assemble_e0*')")
    add("--data", action="append", default=[], help="only runs on this data set (a pattern)")
    add("--tricks", type=lambda text: text.strip("[]").split(","), default=[], help="only runs with all of these: a,b")
    add("--markdown", type=Path, metavar="FILE", help="put the table between markers of a file, made where missing")
    add("--csv", type=Path, metavar="FILE", help="all columns in full precision")
    add("--latex", type=Path, metavar="FILE", help="with booktabs")
    add("--html", type=Path, metavar="FILE", help="one page with a sortable table and plots; needs no network")
    add("--png", type=Path, metavar="FOLDER", help="the plots as images")
    add("--curves", type=Path, metavar="FILE", help="training and validation error by epoch (.png, .svg or .pdf)")
    add("--wandb", action="store_true", help="log the table to W&B, and make the workspace that compares the runs")
    return made


def check_tricks(names: Sequence[str]) -> None:
    """Refuse a trick that there is not."""
    from assemble.errors import UserError
    from assemble.suggest import suggest
    from tricks import trick_names

    for name in names:
        if name not in trick_names():
            raise UserError(suggest("trick", name, trick_names()))


def main(argv: Sequence[str] | None = None) -> None:
    """The program."""
    with one_line_errors():
        arguments: Any = parser().parse_args(argv)
        check_tricks(arguments.tricks)
        from assemble.reporting.report import filters, make_report

        keep = filters(arguments.recipe, arguments.tricks, arguments.data)
        report = make_report(arguments.folders, arguments.metric, arguments.baseline, keep)
        from assemble.reporting.outputs import tell, write_files

        tell(report)
        for path in write_files(report, arguments):
            print(f"wrote {path}")
        if arguments.wandb:
            from assemble.reporting.wandb_report import log_report

            print(*log_report(report), sep="\n")
