"""The runs themselves: which there are, what sets two of them apart, and how some are removed.

``python report.py runs list``, ``... runs diff A B`` and ``... runs remove A B``.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from assemble.errors import UserError
from assemble.printable import printable
from assemble.reporting.differences import text
from assemble.reporting.read import Run, find, run_in
from assemble.runs.directory import lock, trained_by
from assemble.runs.identity import differing_keys
from assemble.runs.result import read_result
from assemble.suggest import suggest

BESIDE = ("seed", "data_digest", "git_commit", "git_diff", "epochs", "train_seconds")
"""Entries of result.json that may differ between runs of one configuration."""
ABSENT = "-"


def list_runs(folder: Path, keep: Callable[[Run], bool]) -> list[str]:
    """Return a line for each run below the folder, finished or not; ``keep`` judges by the result, if there is one."""
    rows = [["run", "state", "recipe", "data", "top-1 %", "last change", "size"]]
    directories = [directory for directory in find([folder]) if keep(run_in(directory))]
    for directory in directories:
        run = run_in(directory)
        top1 = run.result["metrics"].get("top1")
        rows.append(
            [
                directory.relative_to(folder).as_posix() if directory != folder else directory.name,
                state(directory),
                str(run.result["recipe"] or ABSENT),
                str(run.result["data"] or ABSENT),
                f"{top1:.2f}" if isinstance(top1, int | float) else ABSENT,
                f"{datetime.fromtimestamp(_changed(directory)):%Y-%m-%d %H:%M}",
                _size(size(directory)),
            ]
        )
    count = f"{len(directories)} run{'s' * (len(directories) != 1)} in {folder}"
    total = f"{count}, {_size(sum(map(size, directories)))}"
    return [*aligned(rows), total] if directories else [count]


def diff_runs(folder: Path, names: Sequence[str]) -> list[str]:
    """Return what sets two runs apart: settings that matter to the result, what else is told of them, and the scores.

    Raises:
        UserError: not two names, or one that means no run or several.
    """
    if len(names) != 2:
        raise UserError(f"diff compares two runs: write {folder} diff A B, with names, or parts that only one run has")
    a, b = (run_in(_one(folder, name)) for name in names)
    for run in (a, b):
        if not run.config:
            raise UserError(f"{run.directory}/config.yaml is missing or damaged, so its settings are not known")
    settings = [(key, *(_value(run.config, key) for run in (a, b))) for key in _keys(a.config, b.config)]
    beside = [(key, *(_told(run, key) for run in (a, b))) for key in BESIDE]
    machines = [
        (f"{group}.{key}", *(printable(text((run.result.get(group) or {}).get(key))) for run in (a, b)))
        for group in ("hardware", "versions")
        for key in {**(a.result.get(group) or {}), **(b.result.get(group) or {})}
    ]
    scores = [(key, *(_told_metric(run, key) for run in (a, b))) for key in a.result["metrics"] | b.result["metrics"]]
    apart = [row for row in [*beside, *machines] if row[1] != row[2]]
    same = "" if settings else "the same settings: these are repetitions of one configuration"
    parts = [("settings", settings), ("beside them", apart), ("scores", scores)]
    rows = [["", a.directory.name, b.directory.name]]
    for title, lines in parts:
        rows += [[title, "", ""]] * bool(lines) + [[f"  {key}", one, two] for key, one, two in lines]
    return [*([same] if same else []), *aligned(rows)]


def remove_runs(folder: Path, names: Sequence[str], yes: bool) -> list[str]:
    """Remove runs, after a question that ``yes`` answers. Returns lines about it.

    Args:
        folder: where they are.
        names: of runs (whole ones, or patterns with * and ?), or their directories.
        yes: do not ask.

    Raises:
        UserError: a name means no run, a run is being trained, or nobody can be asked.
    """
    if not names:
        raise UserError(
            f"which? Write {folder} remove NAME.., or a pattern such as 'tiny-*'; {folder} list has the names"
        )
    chosen = list(dict.fromkeys(directory for name in names for directory in _named(folder, name)))
    for directory in chosen:
        holder = trained_by(directory)
        if holder:
            raise UserError(f"{directory} is being worked on by process {holder}: stop it first. Nothing was removed")
    much = f"{len(chosen)} run{'s' * (len(chosen) != 1)}, {_size(sum(map(size, chosen)))}"
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(f"nobody can be asked whether to remove {much}: add yes=true")
        print(*(f"  {directory} ({state(directory)})" for directory in chosen), sep="\n")
        if input(f"Remove {much}? They cannot be brought back. [y/N] ").strip().lower() not in {"y", "yes"}:
            return ["nothing was removed"]
    for directory in chosen:
        held = lock(directory)
        shutil.rmtree(directory)
        held.close()
    return [*(f"removed {directory}" for directory in chosen), much]


def state(directory: Path) -> str:
    """Return finished, training, stopped (a checkpoint to go on from), begun, or damaged."""
    if trained_by(directory):
        return "training"
    if (directory / "result.json").is_file():
        return "finished" if read_result(directory) else "damaged"
    return "stopped" if (directory / "last.ckpt").is_file() else "begun"


def size(directory: Path) -> int:
    """Return the bytes of the files below."""
    return sum(file.lstat().st_size for file in directory.rglob("*") if not file.is_dir())


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose cells stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _named(folder: Path, name: str) -> list[Path]:
    """Return the runs of a name or pattern, or the one of a directory.

    Raises:
        UserError: there is none.
    """
    known = find([folder])
    place = Path(name).expanduser()
    matching = [d for d in known if fnmatchcase(d.name, name) or d.resolve() == place.resolve()]
    if not matching and place.is_dir():
        matching = [directory for directory in find([place]) if directory.resolve() == place.resolve()]
    if not matching:
        raise UserError(suggest(f"run of {folder}", name, [directory.name for directory in known]))
    return matching


def _one(folder: Path, name: str) -> Path:
    """Return the run of a name, a directory, or a part of a name that no other run has."""
    parts = [directory for directory in find([folder]) if name in directory.name]
    exact = [directory for directory in parts if directory.name == name]
    matching = exact or parts or _named(folder, name)
    if len(matching) > 1:
        raise UserError(
            f"'{name}' may be any of {', '.join(directory.name for directory in matching)}: write more of it"
        )
    return matching[0]


def _keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys that differ; a trick that only one run has counts as one."""
    single = {f"tricks.{name}" for name in set(one.get("tricks") or {}) ^ set(other.get("tricks") or {})}
    keys = [key for key in differing_keys(one, other) if key != "tricks"]  # which is there where a run has none
    return sorted({key for key in keys if ".".join(key.split(".")[:2]) not in single} | single)


def _value(config: Mapping[str, Any], key: str) -> str:
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return ABSENT
        value = value[part]
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text(inner)}" for name, inner in value.items()) or "selected"
    return text(value)


def _told(run: Run, key: str) -> str:
    value = run.result.get(key)
    return ABSENT if value is None else text(value)[:12] if key.startswith(("data_", "git_c")) else text(value)


def _told_metric(run: Run, key: str) -> str:
    value = run.result["metrics"].get(key)
    return f"{value:.4g}" if isinstance(value, int | float) else ABSENT


def _changed(directory: Path) -> float:
    """Return when a file of the run was last written."""
    return max(file.stat().st_mtime for file in [directory, *directory.iterdir()] if file.exists())


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
