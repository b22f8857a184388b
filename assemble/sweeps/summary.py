"""The table at the end of a sweep, read from its directory: the plan, how the jobs went, the runs' results."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hydra.experimental.callback import Callback

from assemble.errors import UserError
from assemble.interrupts import STOPPED

if TYPE_CHECKING:
    from omegaconf import DictConfig

DONE = ("ok", "finished before")
"""States of a job of which nothing is left to do."""


class SweepDirectory(Callback):
    """Remembers where the sweep of this process keeps its files. Made by Hydra (conf/config.yaml), for any sweeper."""

    current: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        SweepDirectory.current = Path(config.hydra.sweep.dir)


@contextmanager
def summarised() -> Iterator[None]:
    """End a sweep with its report, or, where it is stopped, with the table of its jobs.

    Raises:
        SystemExit: where the sweep ends by itself; the code is 1 if any job failed.
    """
    from assemble.sweeps.job import terminated_as_interrupted

    try:
        with terminated_as_interrupted():
            yield
    except BaseException:
        if SweepDirectory.current:
            print_table(jobs_of(SweepDirectory.current))
        raise
    raise SystemExit(summarise(SweepDirectory.current) if SweepDirectory.current else 0)


@dataclass(frozen=True)
class Outcome:
    """How one job of a sweep went, or goes."""

    row: str
    seed: int | None
    directory: Path | None
    code: int | None
    """Exit code, or `assemble.sweeps.job.BUSY`; None if it had no turn."""
    seconds: float | None

    @property
    def state(self) -> str:
        """In words. Whatever became of this job: with a result, the run is finished."""
        from assemble.runs.directory import trained_by
        from assemble.runs.result import read_result
        from assemble.sweeps.job import BUSY

        if self.directory and read_result(self.directory):
            return "finished before" if self.code is None else "ok"
        if self.code == BUSY:
            process = trained_by(self.directory) if self.directory else None
            return f"being trained by process {process}" if process else "stopped in another process"
        names = {None: "not run", 0: "ok", **dict.fromkeys(STOPPED, "interrupted")}
        return names.get(self.code, f"failed ({self.code})")


def jobs_of(directory: Path) -> list[Outcome]:
    """Return the jobs of a sweep in the order of its plan, as they last went.

    If its sweeper made no plan, they are in the order of their numbers.

    Raises:
        UserError: plan.json or jobs.jsonl is damaged.
    """
    from assemble.runs.sweep_folder import read_records
    from assemble.runs.sweep_plan import SweepPlan
    from assemble.sweeps.overrides import varying

    try:
        plan, records = SweepPlan.read(directory), read_records(directory) or []
    except ValueError as error:
        raise UserError(f"{error}: remove it, and the same command tells again how the jobs went") from error
    records.sort(key=lambda record: record["job"])
    last: dict[tuple[str, ...], dict[str, Any]] = {tuple(record["overrides"]): record for record in records}
    if plan is None:
        names = zip(last, varying(list(last)), strict=True)
        jobs = [(overrides, row, None, last[overrides]["run_directory"]) for overrides, row in names]
    else:
        jobs = [(job.overrides, job.row, job.seed, job.directory if job.trains else None) for job in plan.jobs]
    outcomes = []
    for overrides, row, seed, run in jobs:
        record = last.get(overrides, {})
        outcomes.append(Outcome(row, seed, run and Path(run), record.get("exit_code"), record.get("seconds")))
    return outcomes


def summarise(directory: Path) -> int:
    """Print the report of a sweep, and the jobs of which something is left to do.

    Returns its exit code: 1 if any job failed or had no turn.
    """
    outcomes = jobs_of(directory)
    report_sweep(directory)
    print_table([outcome for outcome in outcomes if outcome.state not in DONE])
    states = [outcome.state for outcome in outcomes]
    elsewhere = sum(state.startswith("being trained") for state in states)
    failed = len(states) - elsewhere - sum(state in DONE for state in states)
    if elsewhere:
        print(f"{elsewhere} of {len(states)} jobs left to the processes that are training them", file=sys.stderr)
    if failed:
        logs = directory / ".submitit"  # that launcher's jobs have no terminal
        where = f"; what they wrote is in {logs}" if logs.is_dir() else ""
        print(f"{failed} of {len(states)} jobs failed; the same command tries them again{where}", file=sys.stderr)
    return 1 if failed else 0


def report_sweep(folder: Path) -> None:
    """Print the table of a sweep's finished runs, and write ``report.html`` beside its ``jobs.jsonl``.

    Says nothing where no run is finished. The sweep's outcome is its jobs', so what goes wrong here is only told.
    """
    from assemble.reporting.page import page
    from assemble.reporting.report import make_report
    from assemble.reporting.terminal import print_tables
    from assemble.reporting.text import write

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


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print the table, if there is anything to tell."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from assemble.sweeps.job import top1

    if all(outcome.code is None for outcome in outcomes):
        return
    table = Table()
    for column in ("row", "seed", "top-1", "seconds", "outcome", "directory"):
        table.add_column(column, overflow="fold")
    for outcome in outcomes:
        accuracy = top1(outcome.directory)
        table.add_row(
            escape(outcome.row),  # [x] would be a style
            "" if outcome.seed is None else str(outcome.seed),
            "-" if math.isnan(accuracy) else f"{accuracy:.2f}",
            "-" if outcome.seconds is None else f"{outcome.seconds:.0f}",
            outcome.state,
            str(outcome.directory or "-"),
            style="" if outcome.state in DONE else "red",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)
