"""The ablation table of finished runs, at any time, also while others train.

  python report.py                                  of all runs in runs/
  python report.py runs/sweeps/TIME                 of one sweep
  python report.py FOLDER 'recipe=assemble_e0*' data=imagenet html=table.html csv=table.csv

metric=       what gains are of: top1, top5, loss, ece, mce, throughput, ... (top1)
baseline=     the row that gains are over: a label, recipe, run id or hash (the first row)
recipe=       only runs of these recipes; patterns: 'recipe=[assemble_e0*,bag_*]'
data=         only runs on these data sets; patterns
tag=          only runs with these tags; patterns
tricks=       only runs with all of these: tricks=[a,b]
evaluations=  a folder of evaluate.py's: the robustness in it, as columns
markdown=     put the table between markers of a file, made where missing
csv=          a file with all columns in full precision
latex=        a file for booktabs
html=         one page with a sortable table and plots; needs no network
png=, svg=, pdf=   a folder for the plots as images of that format
curves=       a file (.png, .svg or .pdf) of training and validation error by epoch
wandb=true    log the table to W&B, and make the workspace that compares the runs

The runs themselves; FOLDER is runs, or another output_dir:

  python report.py FOLDER list                      which there are (recipe=, data=, tag=, tricks= filter)
  python report.py FOLDER diff A B                  what sets two runs apart (by name, or a part that only one has)
  python report.py FOLDER remove A B 'tiny-*'       remove runs, after a question; yes=true skips it

--key VALUE is taken for key=VALUE.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

from assemble.command_line.one_line_errors import one_line_errors


@dataclass
class Options:
    """What can be asked for; files and folders by their paths."""

    metric: str = "top1"
    baseline: str | None = None
    recipe: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    tag: list[str] = field(default_factory=list)
    tricks: list[str] = field(default_factory=list)
    evaluations: str | None = None
    markdown: str | None = None
    csv: str | None = None
    latex: str | None = None
    html: str | None = None
    png: str | None = None
    svg: str | None = None
    pdf: str | None = None
    curves: str | None = None
    wandb: bool = False
    yes: bool = False


def check_tricks(names: Sequence[str]) -> None:
    """Refuse a trick that does not exist."""
    from assemble.errors import UserError
    from assemble.suggest import suggest
    from tricks import trick_names

    for name in names:
        if name not in trick_names():
            raise UserError(suggest("trick", name, trick_names()))


TAKEN = {"list": ("recipe", "data", "tag", "tricks"), "diff": (), "remove": ("yes",)}
"""Options of what is done with the runs themselves."""
COMMANDS = tuple(TAKEN)


def check_taken(options: Options, command: str | None = None) -> None:
    """Refuse options that would change nothing."""
    from assemble.errors import UserError

    for own in fields(options):
        default = own.default if own.default is not MISSING else []
        taken = own.name in TAKEN[command] if command else own.name != "yes"
        if getattr(options, own.name) != default and not taken:
            raise UserError(f"{own.name}=.. is not for {command or 'the table'}: leave it out. See --help")


def manage(command: str, folder: Path, names: Sequence[str], options: Options) -> list[str]:
    """Do what is asked with the runs of a folder, and return lines about it."""
    from assemble.errors import UserError
    from assemble.reporting.manage import diff_runs, list_runs, remove_runs

    if command == "list":
        if names:
            raise UserError(f"list takes no {names[0]}: filter by recipe=, data=, tag= or tricks=")
        from assemble.reporting.report import filters

        return list_runs(folder, filters(options.recipe, options.tricks, options.data, options.tag))
    return diff_runs(folder, names) if command == "diff" else remove_runs(folder, names, options.yes)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    with one_line_errors():
        from assemble.command_line.options import read_options
        from assemble.paths import check_folder_of_plots

        given = sys.argv[1:] if argv is None else argv
        options, folders = read_options(Options, given, __doc__ or "", names=True, flags=True)
        check_tricks(options.tricks)
        for kind in ("png", "svg", "pdf"):
            check_folder_of_plots(kind, getattr(options, kind))
        if len(folders) > 1 and folders[1] in COMMANDS:
            check_taken(options, folders[1])
            print(*manage(folders[1], Path(folders[0]), folders[2:], options), sep="\n")
            return
        check_taken(options)
        from assemble.reporting.report import filters, make_report

        keep = filters(options.recipe, options.tricks, options.data, options.tag)
        evaluations = Path(options.evaluations) if options.evaluations else None
        places = [Path(folder) for folder in folders or ["runs"]]
        report = make_report(places, options.metric, options.baseline, keep, evaluations)
        from assemble.reporting.outputs import tell, write_files

        tell(report)
        for path in write_files(report, options):
            print(f"wrote {path}")
        if options.wandb:
            from assemble.reporting.wandb_report import log_report

            print(*log_report(report), sep="\n")
