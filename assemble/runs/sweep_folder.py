"""What a sweep's folder tells about its runs: which belong to it, in which order, under which name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assemble.sweeper_options import Mode

ABLATIONS = tuple(mode.value for mode in Mode)


@dataclass(frozen=True)
class Plan:
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

    def position(self, run_id: str) -> int | None:
        """The place of a run in the sweep."""
        return self._places.get(run_id)

    def __post_init__(self) -> None:
        names = [path.name for path in self.directories]
        object.__setattr__(self, "_places", {name: place for place, name in reversed(list(enumerate(names)))})

    _places: dict[str, int] = field(default_factory=dict, init=False, repr=False)


def read_plan(folder: Path) -> Plan | None:
    """The sweep whose folder this is; None where it is none.

    Raises:
        ValueError: plan.json or jobs.jsonl is damaged; the message names it.
    """
    path = folder / "plan.json"
    if path.is_file():
        content = _json(path, path.read_text(encoding="utf-8"))
        jobs = [job for job in content.get("jobs", []) if job.get("run_id") and job.get("trains", True)]
        mode = content.get("mode")
        return Plan(
            folder,
            mode if mode in ABLATIONS else None,
            [_here(folder, Path(job.get("output_dir", "")).expanduser() / job["run_id"]) for job in jobs],
            {job["run_id"]: job["row"] for job in jobs if job.get("row")} if mode != "grid" else {},
            content.get("orders") or (),
            [f"{row['row']}: {row['reason']}" for row in content.get("skipped") or ()],
            content.get("lines") or {},
        )
    path = folder / "jobs.jsonl"
    if path.is_file():
        records = [_json(path, line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return of_records(folder, records)
    return None


def of_records(folder: Path, records: Sequence[dict[str, Any]]) -> Plan:
    """The jobs that a sweep has noted, in their order, whenever each ended."""
    ordered = sorted(records, key=lambda record: record["job"])
    directories = [_here(folder, Path(record["run_directory"])) for record in ordered if record.get("run_directory")]
    return Plan(folder, directories=list(dict.fromkeys(directories)))


def plans_below(folder: Path) -> list[Plan]:
    """The planned ablations of a folder of runs, newest first. A damaged plan orders nothing."""
    plans = []
    for path in sorted((folder / "sweeps").glob("*/plan.json"), reverse=True):
        try:
            plan = read_plan(path.parent)
        except ValueError:
            continue
        if plan:
            plans.append(plan)
    return plans


def _here(folder: Path, directory: Path) -> Path:
    """A run's directory, which may have been moved with the sweep's, or named from another working directory."""
    beside = folder.parent.parent / directory.name
    return beside if beside.is_dir() or not directory.is_dir() else directory


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged")
    return content
