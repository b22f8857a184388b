"""Runs -> rows: one for each configuration, seeds and folds pooled, named by what sets it apart, and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assemble.errors import UserError
from assemble.reporting.differences import MACHINE, changes, flat, plain, recipe_config, short_keys, text, usual_config
from assemble.reporting.metrics import METRICS, Metric
from assemble.reporting.read import Repetition, Run
from assemble.reporting.robustness import told_apart
from assemble.reporting.statistics import Gain, Spread, holm, over, paired, spread
from assemble.runs.sweep_folder import SweepFolder
from assemble.suggest import suggest


@dataclass
class Row:
    """One configuration."""

    runs: Sequence[Run]
    """One for each seed, and each fold where there are folds."""
    label: str = ""
    changed: dict[str, Any] = field(default_factory=dict)
    """Dotted key -> value: what differs from the recipe, or from most of the rows without one."""
    reported: Mapping[str, float] = field(default_factory=dict)
    """The published numbers of the recipe, where the configuration is that recipe unchanged."""
    notes: list[str] = field(default_factory=list)
    gain: Gain | None = None
    """Over the baseline."""
    step: Gain | None = None
    """Over the row above."""

    @property
    def config_hash(self) -> str:
        return self.runs[0].config_hash

    @property
    def recipe(self) -> str | None:
        return self.runs[0].result.get("recipe")

    @property
    def tag(self) -> str | None:
        return self.runs[0].result.get("tag")

    @property
    def tricks(self) -> list[str]:
        return self.runs[0].result["tricks"]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Of the first run; the others' differ in seed and fold alone."""
        return self.runs[0].config

    @property
    def n(self) -> int:
        return len(self.runs)

    @property
    def names_tricks(self) -> bool:
        """Does the label name all tricks?"""
        return all(trick in self.label for trick in self.tricks)

    def values(self, metric: str) -> dict[Repetition, float]:
        """Return the metric's values, by seed and fold, of the runs that have one."""
        found = {run.repetition: run.metric(metric) for run in self.runs}
        return {repetition: value for repetition, value in found.items() if value is not None}

    def spread(self, metric: str) -> Spread | None:
        return spread(list(self.values(metric).values()))

    def mean(self, metric: str) -> float | None:
        found = self.spread(metric)
        return found.mean if found else None


@dataclass
class Table:
    """The rows of one data set. Rows of different data are never compared."""

    title: str
    rows: list[Row]
    metric: Metric
    baseline: Row
    common: dict[str, Any] = field(default_factory=dict)
    """What all rows have changed of their recipes."""
    lines: dict[str, list[Row]] = field(default_factory=dict)
    """Rows that a plot joins, by the line's name."""
    chosen_on_scored: bool = False
    """Whether some run had no test set, so that the images are scored that its best epoch is chosen on."""

    @property
    def metrics(self) -> list[str]:
        """The metrics that some row has, the chosen one first, then those known, then others."""
        keys = {key for row in self.rows for run in row.runs for key in [*run.result["metrics"], "throughput"]}
        keys = {key for key in keys if any(row.values(key) for row in self.rows)}
        known = [key for key in (self.metric.key, *METRICS) if key in keys]
        return list(dict.fromkeys([*known, *sorted(keys)]))

    @property
    def reported(self) -> list[str]:
        """The metrics of which some row has a published number."""
        return [key for key in METRICS if any(key in row.reported for row in self.rows)]

    @property
    def has_steps(self) -> bool:
        """Is some row a step from a row above it that is not the baseline, over which it has its gain already?"""
        pairs = zip(self.rows, self.rows[1:], strict=False)
        return any(row.step and above is not self.baseline for above, row in pairs)

    def is_step(self, row: Row) -> bool:
        """Does the label say by which trick the row differs from others here: ``+ sk`` from the row above, ``- sk``?"""
        sign, _, trick = row.label.partition(",")[0].partition(" ")
        if sign == "+":
            place = self.rows.index(row)
            return place > 0 and {*self.rows[place - 1].tricks, trick} == set(row.tricks)
        return sign == "-" and any({*row.tricks, trick} == set(other.tricks) for other in self.rows)

    @property
    def notes(self) -> list[str]:
        """The rows' footnotes; a note's number is its place here, from 1."""
        return list(dict.fromkeys(note for row in self.rows for note in row.notes))

    def marks(self, row: Row) -> list[int]:
        """Return the numbers of a row's footnotes."""
        return [self.notes.index(note) + 1 for note in row.notes]


def tables(
    runs: Sequence[Run], plans: Sequence[SweepFolder], metric: Metric, baseline: str | None = None
) -> list[Table]:
    """Make one table for each data set, in the order of the sweep where there is one.

    Args:
        baseline: a label, recipe, run id or hash; None: each table's first row.

    Raises:
        UserError: no row is the baseline, or several are; no row has the metric.
    """
    by_task: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        by_task.setdefault(_task(run), []).append(run)
    titles = _titles(by_task)
    made = []
    for task, of_task in sorted(by_task.items()):
        rows = _pooled(told_apart(of_task))
        common = describe(rows, plans)
        rows.sort(key=lambda row: _order(row, plans))
        table = Table(titles[task], rows, metric, rows[0], common, _lines(rows, plans))
        table.chosen_on_scored = any(run.result.get("scored_split") == "val" for run in of_task)
        made.append(table)
    if not any(row.values(metric.key) for table in made for row in table.rows):
        known = sorted({key for table in made for key in table.metrics})
        raise UserError(suggest("metric", metric.key, known))
    if baseline is not None:
        table, row = find_row(made, baseline)
        table.baseline = row
    for table in made:
        compare(table)
    return made


def _pooled(runs: Sequence[Run]) -> list[Row]:
    """Pool runs into a row for each configuration and tag, with its seeds and folds in their order."""
    alike: dict[tuple[str, str | None], list[Run]] = {}
    for run in runs:
        alike.setdefault((run.config_hash, run.result.get("tag")), []).append(run)
    return [Row(sorted(group, key=lambda run: run.repetition)) for group in alike.values()]


def compare(table: Table) -> None:
    """Fill in the gains over the baseline and over the row above."""
    key, sign = table.metric.key, table.metric.sign
    values = [row.values(key) for row in table.rows]
    reference = table.baseline.values(key)
    for place, row in enumerate(table.rows):
        row.gain = None if row is table.baseline else _compared(values[place], reference, sign)
        above = table.rows[place - 1] if place else None
        if above and (row.recipe or _goes_on(above, row)):
            row.step = _compared(values[place], values[place - 1], sign)
    gains = [(row, row.gain, row.gain.p) for row in table.rows if row.gain and row.gain.p is not None]
    for (row, gain, _), corrected in zip(gains, holm([p for *_, p in gains]), strict=True):
        row.gain = replace(gain, holm=corrected)


def _goes_on(above: Row, row: Row) -> bool:
    """Return True where a row has more tricks than that above it, and differs by them alone."""
    added = set(row.tricks) - set(above.tricks)
    rest = {
        key: value for key, value in row.changed.items() if key.split(".")[:2] not in [["tricks", t] for t in added]
    }
    return set(above.tricks) < set(row.tricks) and rest == above.changed


def _compared(values: Mapping[Repetition, float], other: Mapping[Repetition, float], sign: int) -> Gain | None:
    """Return the gain of one row over another, and by which seeds, where not by all."""
    found = paired(values, other, sign)
    return found and replace(found, over=over(sorted(values.keys() & other.keys()), values.keys() | other.keys()))


def describe(rows: Sequence[Row], plans: Sequence[SweepFolder]) -> dict[str, Any]:
    """Fill in labels, published numbers and notes; returns the changes that all rows share, which no label repeats."""
    usual = usual_config([row.config for row in rows if not row.recipe])
    for row in rows:
        published = recipe_config(row.recipe) if row.recipe else None
        reference = {key: value for key, value in usual.items() if not row.recipe}
        row.changed = changes(row.config, flat(published) if published else reference)
        added, dropped = _trick_changes(row, published)
        row.label = " ".join(
            [row.recipe or " + ".join(row.tricks) or "no tricks", *(f"+ {name}" for name in added)]
            + [f"- {name}" for name in dropped]
        )
        if published and not (added or dropped or row.changed):
            numbers = dict(row.config.get("reported") or published.get("reported") or {})
            if note := numbers.pop("note", None):
                row.notes.append(str(note))
            row.reported = {key: float(value) for key, value in numbers.items() if isinstance(value, int | float)}
        row.notes += _run_notes(row)
    common = _common([row.changed for row in rows])
    short = short_keys(sorted({key for row in rows for key in row.changed if key not in common}))
    for row in rows:
        own = [f"{short[key]}={text(value)}" for key, value in row.changed.items() if key not in common]
        own += [f"tag={row.tag}"] if row.tag and len({other.tag for other in rows}) > 1 else []
        row.label = ", ".join([row.label, *own])
    _take_planned_labels(rows, plans)
    return common


def find_row(made: Sequence[Table], name: str) -> tuple[Table, Row]:
    """Find the one row of that label, recipe, run id or hash.

    Raises:
        UserError: there is none, or there are several.
    """

    def names(row: Row) -> list[str]:
        return [row.label, row.config_hash, *(run.run_id for run in row.runs)]

    every = [(table, row) for table in made for row in table.rows]
    found = [pair for pair in every if name in names(pair[1])] or [pair for pair in every if name == pair[1].recipe]
    if not found:
        raise UserError(suggest("baseline", name, [row.label for _, row in every]))
    if len(found) > 1:
        hashes = ", ".join(f"{row.config_hash} ({row.label})" for _, row in found)
        raise UserError(f"the baseline '{name}' may be any of {hashes}: name one by its hash")
    return found[0]


def _data(run: Run) -> tuple[str, str]:
    """Return the data set's name, and where it lay."""
    data = run.config.get("data") or {}
    return str(run.result.get("data") or data.get("name") or "unknown data"), str(data.get("root") or "")


def _task(run: Run) -> tuple[str, str]:
    """Return what must be equal for two rows to be compared.

    That is the data, by its digest (earlier versions: its folder).
    """
    name, root = _data(run)
    return name, str(run.result.get("data_digest") or root)


def _titles(by_task: Mapping[tuple[str, str], Sequence[Run]]) -> dict[tuple[str, str], str]:
    """Return the data set's name, with as much of its folder, or of its digest, as is needed."""
    places = {task: _data(runs[0]) for task, runs in by_task.items()}
    short = {task: " ".join(part for part in (name, Path(root).name) if part) for task, (name, root) in places.items()}
    whole = {task: " ".join(part for part in place if part) for task, place in places.items()}
    titles = {}
    for task in by_task:
        alone = [list(named.values()).count(named[task]) == 1 for named in (short, whole)]
        titles[task] = short[task] if alone[0] else whole[task] if alone[1] else f"{whole[task]} ({task[1][:8]})"
    return titles


def _order(row: Row, plans: Sequence[SweepFolder]) -> tuple[Any, ...]:
    """Return the key to sort a row by: the first sweep that has it; else recipe, settings, and the number of tricks."""
    for number, plan in enumerate(plans):
        places = [place for run in row.runs if (place := plan.position(run.directory.name)) is not None]
        if places:
            return (number, min(places))
    settings = sorted(f"{key}={text(value)}" for key, value in row.changed.items() if not key.startswith("tricks."))
    return (len(plans), row.recipe or "", len(settings), settings, len(row.tricks), row.label)


def _trick_changes(row: Row, published: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """Return the tricks added to the recipe, and dropped from it."""
    if published is None:
        return (row.tricks, []) if row.recipe and row.tricks else ([], [])
    of_recipe = list(published["tricks"])
    return [t for t in row.tricks if t not in of_recipe], [t for t in of_recipe if t not in row.tricks]


def _run_notes(row: Row) -> list[str]:
    """Return what a reader of the row should know about its runs."""
    notes = []
    codes = {code for run in row.runs for code in _codes(run)}
    if len({commit for commit, _ in codes}) > 1:
        notes.append("runs of different commits of this project are pooled")
    if any(commit.endswith("-dirty") for commit, _ in codes):
        diffs = sorted({diff for _, diff in codes if diff})
        kept = f": {', '.join(diffs)} beside the run" if diffs else ""
        notes.append(f"trained by code that is in no commit{kept}")
    blocks = [run.result.get("robustness") or {} for run in row.runs]
    evaluated = sorted({int(block["evaluated"]) for block in blocks if "evaluated" in block})
    notes += [f"robustness by evaluate.py, on {count:,} images" for count in evaluated]
    if not row.config:
        notes.append("config.yaml is missing or damaged: only result.json is known")
    if len({run.fold for run in row.runs}) > 1:
        notes.append(
            "over folds of one data set, whose trainings share most of their images: they are not independent, so "
            "standard deviation, interval and p are too small"
        )
    lacking = [run for run in row.runs if run.metric("top1") is None]
    if lacking:
        notes.append(f"{len(lacking)} of {row.n} runs ended without a finite top-1, and are not in the mean")
    return notes


def _codes(run: Run) -> set[tuple[str, str]]:
    """Return the commits by which the parts of a run were trained, each with the file of what differed from it."""
    parts = run.result.get("stretches") or [run.result]
    told = [part for part in parts if "git_commit" in part] or [run.result]  # earlier versions told it of the end alone
    return {(str(part.get("git_commit") or ""), str(part.get("git_diff") or "")) for part in told}


def _lines(rows: Sequence[Row], plans: Sequence[SweepFolder]) -> dict[str, list[Row]]:
    """Return the lines of the sweeps with those rows of theirs that are here; one alone is none."""
    by_label = {row.label: row for row in rows}
    named = {name: labels for plan in reversed(plans) for name, labels in plan.lines.items()}
    lines = {name: [by_label[label] for label in labels if label in by_label] for name, labels in named.items()}
    return {name: joined for name, joined in lines.items() if len(joined) > 1}


def _common(changed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entries that all have."""
    first, *others = changed
    if not others:
        return {}
    return {key: value for key, value in first.items() if all(key in o and o[key] == value for o in others)}


def _take_planned_labels(rows: Sequence[Row], plans: Sequence[SweepFolder]) -> None:
    """Take labels from the sweep's plan where they are clear.

    A label that two rows would share says how they ran, or has its hash.
    """
    planned = {}
    for row in rows:
        found = [
            plan.labels[run.directory.name] for plan in plans for run in row.runs if run.directory.name in plan.labels
        ]
        planned[id(row)] = found[0] if found else row.label
    counts = Counter(planned.values())
    for row in rows:
        if counts[planned[id(row)]] == 1:
            row.label = planned[id(row)]
    for told in (_machine, lambda row, twins: f" ({row.config_hash})"):
        alike: dict[str, list[Row]] = {}
        for row in rows:
            alike.setdefault(row.label, []).append(row)
        for twins in alike.values():
            suffixes = [told(row, twins) for row in twins] if len(twins) > 1 else [""]
            for row, suffix in zip(twins, suffixes, strict=True):
                row.label += suffix


def _machine(row: Row, twins: Sequence[Row]) -> str:
    """Name what sets a row apart from others of its label where that is how it ran: ``, precision=bf16-mixed``."""
    ran = [flat(twin.config) for twin in twins]
    keys = [k for k in MACHINE if k != "data.root" and len({plain(values.get(k)) for values in ran}) > 1]
    own = flat(row.config)
    return "".join(f", {short}={text(own.get(key))}" for key, short in short_keys(keys).items())
