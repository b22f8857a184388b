"""What a sweep's folder tells about its runs: which belong to it, in which order, under which name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assemble.json_files import check_kinds, is_text, is_texts, is_whole, parse_json
from assemble.runs.sweep_plan import SweepPlan
from assemble.sweeper_options import Mode

RECORDS = "jobs.jsonl"
"""In the sweep's directory: how each job went, a line each, added by whichever process the launcher ran it in."""
ABLATIONS = tuple(mode.value for mode in Mode)


@dataclass(frozen=True)
class SweepFolder:
    """A sweep: ``plan.json`` of a planned ablation, or the jobs that a plain one has noted in ``jobs.jsonl``."""

    folder: Path
    mode: str | None = None
    """One of `ABLATIONS`; None of other sweeps."""
    directories: Sequence[Path] = ()
    """Of the runs, in order, those not begun yet included."""
    labels: dict[str, str] = field(default_factory=dict)
    """Run directory's name -> the row's label: a subset of tricks, or a search's candidate. A grid names none."""
    orders: Sequence[Sequence[str]] = ()
    """The orders in which tricks are added."""
    skipped: Sequence[str] = ()
    """Rows that cannot be trained, with the reason."""
    lines: dict[str, Sequence[str]] = field(default_factory=dict)
    """Labels of rows that belong on one line of a plot, in order, by the line's name."""
    dry_run: bool = False
    """Was it only planned?"""

    def position(self, run_id: str) -> int | None:
        """Return the place of a run in the sweep."""
        return self._places.get(run_id)

    def __post_init__(self) -> None:
        names = [path.name for path in self.directories]
        object.__setattr__(self, "_places", {name: place for place, name in reversed(list(enumerate(names)))})

    _places: dict[str, int] = field(default_factory=dict, init=False, repr=False)


def read_sweep(folder: Path) -> SweepFolder | None:
    """Read the sweep whose folder this is; None where it is none.

    Raises:
        ValueError: plan.json or jobs.jsonl is damaged; the message names it.
    """
    plan = SweepPlan.read(folder)
    if plan is not None:
        jobs = [job for job in plan.jobs if job.run_id and job.trains]
        return SweepFolder(
            folder,
            plan.mode if plan.mode in ABLATIONS else None,
            [_here(folder, job.directory) for job in jobs],
            {job.run_id: job.row for job in jobs if job.row} if plan.mode != "grid" else {},
            plan.orders,
            [f"{row['row']}: {row['reason']}" for row in plan.skipped],
            dict(plan.lines),
            plan.dry_run,
        )
    records = read_records(folder)
    return of_records(folder, records) if records is not None else None


def read_records(folder: Path) -> list[dict[str, Any]] | None:
    """Read how the jobs of a sweep went; None where it has noted nothing.

    Raises:
        ValueError: jobs.jsonl is damaged; the message names it.
    """
    path = folder / RECORDS
    if not path.is_file():
        return None
    try:
        records = [parse_json(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for record in records:
            check_kinds(record, {"job": is_whole}, {"run_directory": is_text, "overrides": is_texts})
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return records


def of_records(folder: Path, records: Sequence[dict[str, Any]]) -> SweepFolder:
    """Return the jobs that a sweep has noted, in their order, whenever each ended."""
    ordered = sorted(records, key=lambda record: record["job"])
    directories = [_here(folder, Path(record["run_directory"])) for record in ordered if record.get("run_directory")]
    return SweepFolder(folder, directories=list(dict.fromkeys(directories)))


def sweeps_below(folder: Path) -> tuple[list[SweepFolder], list[str]]:
    """Return the planned ablations of a folder of runs, newest first, and lines about the damaged ones.

    Those that were dry runs are passed over.
    """
    plans, problems = [], []
    for path in sorted((folder / "sweeps").glob("*/plan.json"), reverse=True):
        try:
            plan = read_sweep(path.parent)
        except ValueError as error:
            problems.append(f"{error}: it orders no rows")
            continue
        if plan and not plan.dry_run:
            plans.append(plan)
    return plans, problems


def _here(folder: Path, directory: Path) -> Path:
    """Return a run's directory, which may have moved with the sweep's or be named from another working directory."""
    beside = folder.parent.parent / directory.name
    return beside if beside.is_dir() or not directory.is_dir() else directory
