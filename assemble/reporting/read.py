"""Finds runs below folders: finished, unfinished, damaged. Nothing is changed, so it may be used while they train."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from assemble.errors import UserError
from assemble.json_files import check_kinds, is_mapping, is_number, is_text
from assemble.paths import MLFLOW_FILES
from assemble.printable import printable_values
from assemble.runs.result import check_result, read_result
from assemble.yaml_files import read_yaml


def _named(value: Any) -> bool:
    return is_mapping(value) and is_text(value.get("name"))


GROUPS = {
    **dict.fromkeys(("model", "data"), _named),
    **dict.fromkeys(("optim", "trainer", "eval", "logger", "reported"), is_mapping),
    "tricks": lambda value: is_mapping(value) and all(inner is None or is_mapping(inner) for inner in value.values()),
}
"""What a config.yaml has that is looked into."""


Repetition = tuple[int, ...]
"""A run's seed, and where there are folds, which of how many, dealt by which seed."""


@dataclass(frozen=True)
class Run:
    """A finished run: its result.json, and lazily the rest of its directory."""

    directory: Path
    result: Mapping[str, Any]

    @property
    def config_hash(self) -> str:
        """The same for all seeds and folds of a configuration."""
        return self.result["config_hash"]

    @property
    def seed(self) -> int:
        return self.result["seed"]

    @property
    def fold(self) -> int | None:
        """Which fold of the training images was validated on."""
        return (self.result.get("fold") or {}).get("fold")

    @property
    def repetition(self) -> Repetition:
        """What tells it apart from the configuration's other runs, and pairs it with another configuration's."""
        fold = self.result.get("fold") or {}
        return self.seed, *(fold[key] for key in ("fold", "folds", "fold_seed") if key in fold)

    @property
    def run_id(self) -> str:
        return self.result["run_id"]

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole configuration; empty where config.yaml is missing or damaged."""
        try:
            content = read_yaml(self.directory / "config.yaml")
            json.dumps(content, allow_nan=False)  # dates and sets are no values of a configuration
            check_kinds(content, {}, GROUPS)
        except (OSError, yaml.YAMLError, ValueError, TypeError, RecursionError):
            return {}
        return printable_values(content)

    def metric(self, name: str) -> float | None:
        """Return a number of ``metrics`` or of the result itself (throughput, params, ...)."""
        value = self.result["metrics"].get(name, self.result.get(name))
        return float(value) if is_number(value) else None

    def curve(self, name: str, split: str = "val") -> dict[int, float]:
        """Read ``<split>/<name>`` after each epoch (counted from 1), from metrics.csv."""
        values: dict[int, float] = {}
        column = f"{split}/{name}"
        try:
            with (self.directory / "metrics.csv").open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    if row.get(column) and is_number(value := float(row[column])):
                        values[int(row["epoch"]) + 1] = value
        except (OSError, ValueError, KeyError, TypeError, csv.Error):  # a line half written, for one
            pass
        return values


def run_in(directory: Path) -> Run:
    """Read a run, finished or not; of an unfinished one what the configuration says stands for the result."""
    run = Run(directory, printable_values(read_result(directory) or {}))
    if run.result:
        return Run(directory, {"recipe": None, "data": None, "tricks": [], **run.result})
    config = run.config
    known = {"seed": config.get("seed"), "data": (config.get("data") or {}).get("name")}
    return Run(directory, {**known, "recipe": None, "tricks": list(config.get("tricks") or {}), "metrics": {}})


@dataclass
class Found:
    """What lies below some folders."""

    runs: list[Run] = field(default_factory=list)
    unfinished: list[Path] = field(default_factory=list)
    """Directories of runs without a result: under way, or stopped."""
    problems: list[str] = field(default_factory=list)
    """Lines about what was passed over."""


def find(folders: Iterable[Path]) -> list[Path]:
    """Find the run directories below folders (or the folders themselves), in order of their names."""
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: name one that holds runs, as output_dir (runs) does")
        for place, inner, files in os.walk(folder):
            if "result.json" in files or {"config.yaml", ".lock"} <= set(files):
                found.append(Path(place))
                inner.clear()  # loggers' folders
            inner[:] = sorted(name for name in inner if not name.startswith(".") and name != MLFLOW_FILES)
    return list(dict.fromkeys(found))


def read(directories: Iterable[Path]) -> Found:
    """Read the runs of these directories.

    Two of one configuration, tag, seed and fold are one: the first is kept.
    """
    found, taken = Found(), {}
    for directory in directories:
        path = directory / "result.json"
        if not path.is_file():
            if (directory / "config.yaml").is_file():
                found.unfinished.append(directory)
            continue
        try:
            run = Run(directory, printable_values(check_result(path)))
        except OSError as error:
            found.problems.append(f"{path} cannot be read ({error.strerror}): passed over")
            continue
        except ValueError as error:
            found.problems.append(f"{error}: passed over; the run's own command makes it again")
            continue
        twin = taken.setdefault((run.config_hash, run.result.get("tag"), run.repetition), directory)
        if twin == directory:
            found.runs.append(run)
            if not run.config and (directory / "config.yaml").exists():
                found.problems.append(f"{directory / 'config.yaml'} is damaged: of its run only result.json is known")
        elif twin.resolve() != directory.resolve():
            found.problems.append(f"{directory} repeats the configuration and seed of {twin}: passed over")
    return found
