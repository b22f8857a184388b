"""From folders to what a report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from assemble.errors import UserError
from assemble.reporting.evaluations import with_robustness
from assemble.reporting.gains import TrickGain, trick_gains
from assemble.reporting.metrics import Metric, metric
from assemble.reporting.read import Found, Run, find, read, run_in
from assemble.reporting.table import Table, tables
from assemble.runs.sweep_folder import SweepFolder, read_sweep, sweeps_below


@dataclass
class Report:
    """Everything that is shown, wherever it is shown."""

    tables: list[Table]
    found: Found
    metric: Metric
    gains: dict[str, list[TrickGain]] = field(default_factory=dict)
    """A table's title -> its tricks' gains."""
    sweep: SweepFolder | None = None
    """The planned sweep that these gains are of; None: of all rows."""

    @property
    def runs(self) -> list[Run]:
        """The runs that are shown."""
        return [run for table in self.tables for row in table.rows for run in row.runs]


def make_report(
    folders: Sequence[Path],
    metric_name: str = "top1",
    baseline: str | None = None,
    keep: Callable[[Run], bool] = lambda run: True,
    evaluations: Path | None = None,
) -> Report:
    """Read folders of runs, or of sweeps, and the robustness that a folder of evaluations has of them.

    Raises:
        UserError: there is no finished run; no such folder, metric or baseline.
    """
    plans, directories, problems = [], [], []
    for folder in folders:
        try:
            plan = read_sweep(folder)
        except ValueError as error:
            raise UserError(f"{error}: name the folder of its runs instead") from error
        if plan:
            plans.append(plan)
            directories += [path for path in plan.directories if path.is_dir()]
        else:
            directories += find([folder])
            below, damaged = sweeps_below(folder)
            plans += below
            problems += damaged
    found = read(directories)
    found.problems += problems
    return of_runs(found, plans, metric_name, baseline, keep, ", ".join(map(str, folders)), evaluations)


def of_runs(
    found: Found,
    plans: Sequence[SweepFolder],
    metric_name: str = "top1",
    baseline: str | None = None,
    keep: Callable[[Run], bool] = lambda run: True,
    place: str = "",
    evaluations: Path | None = None,
) -> Report:
    """Make the report of runs that have been read."""
    runs = [run for run in found.runs if keep(run)]
    found = replace(found, unfinished=[directory for directory in found.unfinished if keep(run_in(directory))])
    if not runs:
        where = place or "the sweep"
        if found.runs:
            there = "; ".join(
                f"{key}: {', '.join(_names(found.runs, key))}" for key in ("recipe", "data", "tag", "tricks")
            )
            raise UserError(f"the filters keep no finished run of the {len(found.runs)} in {where}. Found {there}")
        much = f" ({len(found.unfinished)} unfinished)" if found.unfinished else ""
        raise UserError(f"no finished run in {where}{much}: python train.py makes one")
    if evaluations:
        runs = with_robustness(runs, evaluations)
    chosen = metric(metric_name)
    made = tables(runs, plans, chosen, baseline)
    planned = next((plan for plan in plans if plan.mode), None)
    gains = {table.title: trick_gains(table.rows, chosen, planned) for table in made}
    return Report(made, found, chosen, gains, planned)


def _names(runs: Sequence[Run], key: str) -> list[str]:
    """Return what the runs have of a key that can be filtered by; ``none`` where no run has any."""
    values = (run.result.get(key) for run in runs)
    names = {str(name) for value in values for name in (value if isinstance(value, list) else [value]) if name}
    return sorted(names) or ["none"]


def filters(
    recipes: Sequence[str], tricks: Sequence[str], data: Sequence[str], tags: Sequence[str] = ()
) -> Callable[[Run], bool]:
    """Keep runs of these recipes, data sets and tags (patterns with * and ?), and with all of these tricks."""

    def any_of(patterns: Sequence[str], name: object) -> bool:
        return not patterns or any(fnmatchcase(str(name), pattern) for pattern in patterns)

    def keep(run: Run) -> bool:
        result = run.result
        wanted = ((recipes, "recipe"), (data, "data"), (tags, "tag"))
        same = all(any_of(patterns, result.get(key)) for patterns, key in wanted)
        return same and set(tricks) <= set(result["tricks"])

    return keep
