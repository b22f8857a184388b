"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from assemble.reporting.columns import METHOD, Column, columns
from assemble.reporting.figures import draw
from assemble.reporting.metrics import UNDECIDED
from assemble.reporting.palette import css
from assemble.reporting.plots import Plot, plots
from assemble.reporting.report import Report
from assemble.reporting.sources import Source, source
from assemble.reporting.svg import svg
from assemble.reporting.table import Row, Table
from assemble.reporting.text import footnotes

HERE = Path(__file__).parent
SIGN = "[+\N{MINUS SIGN}]"


class Part(NamedTuple):
    """A piece of a cell's text, and how it is set apart."""

    text: str
    kind: str = ""
    tip: str = ""


class Cell(NamedTuple):
    """One cell of the table."""

    parts: Sequence[Part]
    kind: str
    value: object
    """What the column is sorted by."""


class Section(NamedTuple):
    """One table with its plots."""

    title: str
    best: tuple[str, str] | None
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    sources: Sequence[tuple[str, Source]]
    """Label, and where the row comes from."""
    notes: Sequence[str]
    plots: Sequence[Plot]


def page(report: Report, title: str = "Ablation report") -> str:
    """Return the whole page."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True)
    left_out = report.sweep.skipped if report.sweep else ()
    return environment.get_template("page.html").render(
        title=title,
        style=f"{css()}\n{(HERE / 'page.css').read_text(encoding='utf-8')}",
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        summary=summary(report),
        sections=[_section(report, table) for table in report.tables],
        draw=lambda plot: svg(draw(plot)),
        footer=list(_footer(report)),
        lists=[
            ("unfinished", [path.name for path in report.found.unfinished]),
            ("passed over", report.found.problems),
            ("left out of the sweep", left_out),
        ],
    )


def summary(report: Report) -> str:
    """Return one line about all of it."""
    rows = sum(len(table.rows) for table in report.tables)
    parts = [f"{_count(len(report.runs), 'finished run')}, {_count(rows, 'configuration')}"]
    if report.found.unfinished:
        parts.append(f"{_count(len(report.found.unfinished), 'run')} unfinished")
    return " · ".join([*parts, f"made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"])


def verdict(table: Table) -> tuple[str, str] | None:
    """Return the row with the best mean over seeds, and what can be said of its gain; None where no row has two."""
    key, sign = table.metric.key, table.metric.sign
    scored = [(sign * (row.mean(key) or 0.0), row) for row in table.rows if len(row.values(key)) > 1]
    if not scored:
        return None
    best = max(scored, key=lambda pair: pair[0])[1]
    score = f"{table.metric.title} {table.metric.spread(best.spread(key))} (n = {len(best.values(key))})"
    if best is table.baseline:
        return best.label, f"the baseline itself, {score}"
    if best.gain is None:
        return best.label, f"{score}; it has no seed in common with the baseline ({table.baseline.label})"
    over = f"{table.metric.difference(best.gain.mean)} over the baseline ({table.baseline.label})"
    over += f" by {best.gain.over}" if best.gain.over else ""
    said = {True: "", False: ", not told apart from it", None: ", without an interval"}[best.gain.told_apart]
    return best.label, f"{score}; {over}{said}"


def _section(report: Report, table: Table) -> Section:
    shown = columns(table, with_tricks=False)
    return Section(
        table.title,
        verdict(table),
        shown,
        [_row(table, row, shown) for row in table.rows],
        [(row.label, source(row)) for row in table.rows],
        footnotes(table),
        plots(table, report.gains.get(table.title, [])),
    )


def _row(table: Table, row: Row, shown: Sequence[Column]) -> list[Cell]:
    label, *others = [
        Cell(parts_of(column.cell(row)), "" if column.numeric else "text", column.sort(row)) for column in shown
    ]
    parts = [*label.parts]
    if marks := table.marks(row):
        parts.append(Part(", ".join(map(str, marks)), "mark", "\n".join(row.notes)))
    if not row.names_tricks:
        parts.append(Part(", ".join(row.tricks), "soft tricks"))
    return [label._replace(parts=parts), *others]


def parts_of(text: str) -> list[Part]:
    """Set the parts of a cell's text apart: the spread, the interval, what is not told apart."""
    if text == "baseline":
        return [Part(text, "tag")]
    gain = re.fullmatch(rf"({UNDECIDED})?({SIGN}\S+)( \[.*\])?( \(.*\))?", text)
    if gain:
        undecided, mean, ends, over = gain.groups()
        kind = "undecided" if undecided or not ends else "up" if mean.startswith("+") else "down"
        tip = "not told apart: the interval contains zero" if undecided else "" if ends else "no interval"
        return [Part(f"{undecided or ''}{mean}", kind, tip), *(Part(t[1:], "soft ends") for t in (ends, over) if t)]
    published = re.fullmatch(rf"(\S+) (\({SIGN}\S+\))", text)
    if published:
        return [Part(published[1]), Part(published[2], "soft ends")]
    spread = re.fullmatch(r"(\S+)( ± \S+)?( \(n = \d+\))?", text)
    if spread:
        mean, *more = spread.groups()
        return [Part(mean), *(Part(t[1:], "soft ends") for t in more if t)]
    return [Part(text)]


def _footer(report: Report) -> Iterator[str]:
    yield f"{METHOD} Green is better, red is worse, grey is not told apart or has no interval."
    yield "Click a column to sort; a row's number tells where it comes from."
    if report.sweep:
        yield f"Effects of tricks are of the sweep {report.sweep.folder.name} ({report.sweep.mode})."
    commits = sorted({str(run.result.get("git_commit") or "")[:7] for run in report.runs} - {""})
    machines = sorted({_machine(run.result.get("hardware") or {}) for run in report.runs} - {""})
    made = [f"commits {', '.join(commits)}"] if commits else []
    made += [f"machines: {', '.join(machines)}"] if machines else []
    if made:
        yield f"{'; '.join(made)}."


def _machine(hardware: dict[str, object]) -> str:
    if hardware.get("gpu"):
        return f"{hardware.get('gpu_count')} x {hardware['gpu']}"
    return str(hardware.get("cpu") or "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
