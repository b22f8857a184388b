"""The jobs of a sweep, known before the first one starts: which, how many are done, how long the rest may take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from assemble.atomic import write_whole
from assemble.confidential import redacted
from assemble.json_files import check_kinds, is_mapping, is_text, is_texts, is_whole, read_object
from assemble.plugins import called
from assemble.printable import printable_values
from assemble.runs.identity import run_id
from assemble.runs.result import read_result
from assemble.wording import count, duration

if TYPE_CHECKING:
    from omegaconf import DictConfig

FILE = "plan.json"
"""In the sweep's directory; what the report reads."""

LONGEST = 50
"""Rows of a plan that are printed. The file has them all."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    overrides: tuple[str, ...]
    run_id: str
    output_dir: str
    tricks: tuple[str, ...]
    seed: int
    row: str
    """The line of the table that it belongs to; jobs of other seeds share it."""
    model: str
    data: str
    epochs: int
    """0 where the length is given in steps."""
    trains: bool = True
    """False for ``explain=true`` and ``prepare=true``, which have no result and are never done."""

    @classmethod
    def of(cls, cfg: DictConfig, overrides: Iterable[str], row: str) -> Job:
        """Return the job of a composed configuration."""
        from assemble.config.selection import active_tricks

        return cls(
            overrides=tuple(overrides),
            run_id=run_id(cfg),
            output_dir=cfg.output_dir,
            tricks=tuple(active_tricks(cfg)),
            seed=cfg.seed,
            row=row,
            model=called(cfg.model),
            data=called(cfg.data),
            epochs=cfg.trainer.max_epochs if cfg.trainer.max_steps is None else 0,
            trains=not (cfg.explain or cfg.prepare),
        )

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Job:
        """Return the job that a plan.json describes; one of an earlier version may say less.

        Raises:
            ValueError: it is no job.
        """
        check_kinds(record, {"run_id": is_text}, JOB)
        known: dict[str, Any] = {"output_dir": "", "row": "", "seed": 0, "model": "", "data": "", "epochs": 0}
        known |= {key: value for key, value in record.items() if value is not None}
        known |= {key: tuple(known.get(key) or ()) for key in ("overrides", "tricks")}
        return cls(**{own.name: known[own.name] for own in fields(cls) if own.name in known})

    @property
    def directory(self) -> Path:
        """Where the run is or will be."""
        return Path(self.output_dir).expanduser() / self.run_id

    @property
    def result(self) -> dict[str, Any] | None:
        """What came out, if it is finished."""
        return read_result(self.directory) if self.trains else None

    @property
    def begun(self) -> bool:
        """Is there a checkpoint to go on from?"""
        return self.trains and (self.directory / "last.ckpt").is_file()


JOB = {
    **dict.fromkeys(("output_dir", "row", "model", "data"), is_text),
    **dict.fromkeys(("overrides", "tricks"), is_texts),
    **dict.fromkeys(("seed", "epochs"), is_whole),
    "trains": lambda value: isinstance(value, bool),
}
"""What a job of a plan.json may say beside its run."""
KINDS = {
    "mode": is_text,
    "jobs": lambda value: isinstance(value, list) and all(map(is_mapping, value)),
    "orders": lambda value: isinstance(value, list) and all(map(is_texts, value)),
    "skipped": lambda value: isinstance(value, list) and all(map(_left_out, value)),
    "lines": lambda value: is_mapping(value) and all(map(is_texts, value.values())),
    "dry_run": lambda value: isinstance(value, bool),
}
"""What a plan.json may hold."""


def _left_out(value: Any) -> bool:
    return is_mapping(value) and is_text(value.get("row")) and is_text(value.get("reason"))


@dataclass(frozen=True)
class SweepPlan:
    """All jobs of a sweep."""

    mode: str
    jobs: Sequence[Job]
    orders: Sequence[Sequence[str]] = ()
    """Orders of tricks along which gains are to be read: one of a cumulative ablation, the drawn ones of Shapley's."""
    skipped: Sequence[dict[str, Any]] = field(default=())
    """Rows that cannot be trained: ``row``, ``tricks``, ``reason``."""
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Rows that a plot of the score over multiply-adds joins by a line, by the line's name."""
    dry_run: bool = False
    """Was it only to be shown? Then it orders and names no rows of a report on all runs."""

    def write(self, directory: Path) -> Path:
        """Write ``plan.json``."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / FILE
        jobs = [replace(job, overrides=tuple(map(redacted, job.overrides))) for job in self.jobs]
        write_whole(path, json.dumps(asdict(replace(self, jobs=jobs)), indent=1) + "\n")
        return path

    @classmethod
    def read(cls, directory: Path) -> SweepPlan | None:
        """Read the plan of a sweep's directory, if it has one.

        Raises:
            ValueError: it is damaged; the message names the file.
        """
        path = directory / FILE
        if not path.is_file():
            return None
        content = printable_values(read_object(path, {}, KINDS))
        try:
            jobs = [Job.from_json(record) for record in content.get("jobs") or ()]
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error})") from error
        orders, skipped, lines = (content.get(key) for key in ("orders", "skipped", "lines"))
        dry_run = bool(content.get("dry_run"))
        return cls(content.get("mode") or "", jobs, orders or (), skipped or (), lines or {}, dry_run)

    def show(self) -> None:
        """Print the plan."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        results = [job.result for job in self.jobs]
        finished = [result for result in results if result is not None]
        remaining = [job for job, result in zip(self.jobs, results, strict=True) if result is None]
        begun = sum(job.begun for job in remaining)
        rows: dict[str, list[bool]] = {}
        for job, result in zip(self.jobs, results, strict=True):
            rows.setdefault(job.row, []).append(result is not None)

        table = Table("row", "jobs", "done")
        for row, done in list(rows.items())[:LONGEST]:
            table.add_row(escape(row), str(len(done)), str(sum(done)))
        console = Console()
        console.print(table)
        lines = [("sweep", f"{self.mode}, {count(len(rows), 'row')}, {count(len(self.jobs), 'job')}")]
        lines += [("", f"the first {LONGEST} rows are shown")] if len(rows) > LONGEST else []
        lines += [("orders", f"{len(self.orders)}, along which the gains are read")] if len(self.orders) > 1 else []
        lines.append(("done", f"{len(finished)} finished, {begun} begun, {len(remaining) - begun} to begin"))
        lines += [("time", estimate(remaining, self.jobs))] if remaining else []
        lines += [("left out", f"{skipped['row']}: {skipped['reason']}") for skipped in self.skipped]
        for name, text in lines:
            console.print(f"[bold]{name:9}[/bold] {escape(text)}", highlight=False, soft_wrap=True)


def estimate(remaining: Sequence[Job], jobs: Sequence[Job]) -> str:
    """Return how long the remaining jobs will train, judged by finished runs.

    Those of the same row first, then of the same sweep, then any below the output directories with the same network
    and data.
    """
    own = [(job, result) for job in jobs if (result := job.result) and _timed(result)]
    folders = {job.output_dir: Path(job.output_dir).expanduser() for job in jobs}
    others = [result for folder in folders.values() for result in _results(folder) if _timed(result)]
    seconds, used = 0.0, set()
    for job in remaining:
        alike = (
            [r for other, r in own if other.row == job.row],
            [r for other, r in own if (other.model, other.data) == (job.model, job.data)],
            [r for r in others if (r.get("model"), r.get("data")) == (job.model, job.data)],
        )
        known = next((results for results in alike if results), None)
        if known is None:
            return "unknown until a first run of this network on this data is finished"
        used |= {str(r.get("run_id")) for r in known}
        seconds += fmean(r["train_seconds"] * (job.epochs / r["epochs"] if job.epochs else 1) for r in known)
    return f"about {duration(seconds)} of training, one job after another, judged by {count(len(used), 'finished run')}"


def _results(folder: Path) -> list[dict[str, Any]]:
    return [result for path in sorted(folder.glob("*/result.json")) if (result := read_result(path.parent))]


def _timed(result: Mapping[str, Any]) -> bool:
    return all(isinstance(result.get(key), int | float) and result[key] > 0 for key in ("train_seconds", "epochs"))
