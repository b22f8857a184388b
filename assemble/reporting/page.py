"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template

from assemble.reporting.columns import METHOD, Column, columns
from assemble.reporting.metrics import UNDECIDED
from assemble.reporting.plots import plots
from assemble.reporting.report import Report
from assemble.reporting.svg import svg
from assemble.reporting.table import Row, Table
from assemble.reporting.text import footnotes

HERE = Path(__file__).parent
SIGN = "[+\N{MINUS SIGN}]"


def page(report: Report, title: str = "Ablation report") -> str:
    """The whole page."""
    parts = {name: (HERE / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    return Template(parts["html"]).substitute(
        title=escape(title),
        style=parts["css"],
        script=parts["js"],
        summary=escape(summary(report)),
        sections="\n".join(_section(report, table) for table in report.tables),
        footer=_footer(report),
    )


def summary(report: Report) -> str:
    """One line about all of it."""
    rows = sum(len(table.rows) for table in report.tables)
    parts = [f"{_count(len(report.runs), 'finished run')}, {_count(rows, 'configuration')}"]
    if report.found.unfinished:
        parts.append(f"{_count(len(report.found.unfinished), 'run')} unfinished")
    return " · ".join([*parts, f"made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"])


def verdict(table: Table) -> tuple[str, str] | None:
    """The best row, and what can be said of its gain."""
    key, sign = table.metric.key, table.metric.sign
    scored = [(sign * mean, row) for row in table.rows if (mean := row.mean(key)) is not None]
    if not scored:
        return None
    best = max(scored, key=lambda pair: pair[0])[1]
    score = f"{table.metric.title} {table.metric.spread(best.spread(key))} (n = {len(best.values(key))})"
    if best is table.baseline:
        return best.label, f"the baseline itself, {score}"
    if best.gain is None:
        return best.label, f"{score}; it has no seed in common with the baseline ({table.baseline.label})"
    over = f"{table.metric.difference(best.gain.mean)} over the baseline ({table.baseline.label})"
    said = {True: "", False: ", not told apart from it", None: ", without an interval"}[best.gain.told_apart]
    return best.label, f"{score}; {over}{said}"


def _section(report: Report, table: Table) -> str:
    best = verdict(table)
    lead = f"Best mean: <strong>{escape(best[0])}</strong>, {escape(best[1])}." if best else ""
    notes = "".join(f"<li>{escape(line)}</li>" for line in footnotes(table))
    figures = "".join(
        f"<figure><h3>{escape(plot.title)}</h3>{svg(plot)}<figcaption>{escape(plot.caption)}</figcaption></figure>"
        for plot in plots(table, report.gains.get(table.title, []))
    )
    return (
        f'<section><div class="head"><div><h2>{escape(table.title)}</h2><p class="lead">{lead}</p></div>'
        '<input type="search" placeholder="Filter rows" aria-label="Filter rows"></div>'
        f"{_table(table)}"
        f"{f'<ul class=notes>{notes}</ul>' if notes else ''}"
        f'<div class="figures">{figures}</div></section>'
    )


def _table(table: Table) -> str:
    shown = columns(table, in_order=False)
    head = "".join(_head(column) for column in shown)
    body = "\n".join(_row(table, number, row, shown) for number, row in enumerate(table.rows, 1))
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="Results on {escape(table.title)}"><table>'
        f'<thead><tr><th scope="col" class="place">#</th>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _head(column: Column) -> str:
    kind = "" if column.numeric else ' class="text"'
    tip = f' title="{escape(column.help)}"' if column.help else ""
    return f'<th scope="col" aria-sort="none"{kind}{tip}><button type="button">{escape(column.title)}</button></th>'


def _row(table: Table, number: int, row: Row, shown: Sequence[Column]) -> str:
    cells = []
    for place, column in enumerate(shown):
        value = column.sort(row)
        kind = "" if column.numeric else " ".join(["text", *(["tricks"] if place else [])])
        marks = "" if place else "".join(f"<sup>{mark}</sup>" for mark in table.marks(row))
        given = f' data-value="{escape(str(value))}"' if value is not None else ""
        of_kind = f' class="{kind}"' if kind else ""
        cells.append(f"<td{of_kind}{given}>{_cell(column.cell(row))}{marks}</td>")
    return f'<tr data-row="{number}"><td class="place">{number}</td>{"".join(cells)}</tr>'


def _cell(text: str) -> str:
    """A cell's text with its parts set apart: the spread, the interval, what is not told apart."""
    if text == "baseline":
        return f'<span class="tag">{text}</span>'
    interval = re.fullmatch(rf"({UNDECIDED})?({SIGN}\S+) (\[.*\])", text)
    if interval:
        undecided, mean, ends = interval.groups()
        kind = "undecided" if undecided else "up" if mean.startswith("+") else "down"
        tip = ' title="the interval contains zero: not told apart"' if undecided else ""
        return f'<span class="{kind}"{tip}>{undecided or ""}{mean}</span> <span class="soft ends">{ends}</span>'
    published = re.fullmatch(rf"(\S+) (\({SIGN}\S+\))", text)
    if published:
        return f'{published[1]} <span class="soft ends">{published[2]}</span>'
    mean, sign, sd = text.partition(" ± ")
    return f'{escape(mean)} <span class="soft">± {escape(sd)}</span>' if sign else escape(text)


def _footer(report: Report) -> str:
    parts = [f"<p>{escape(METHOD)} Grey bars and gains are not told apart from zero. Click a column to sort.</p>"]
    if report.sweep:
        parts.append(
            f"<p>Gains by trick are of the sweep {escape(report.sweep.folder.name)} ({report.sweep.mode}).</p>"
        )
    commits = sorted({str(run.result.get("git_commit") or "")[:7] for run in report.runs} - {""})
    machines = sorted({_machine(run.result.get("hardware") or {}) for run in report.runs} - {""})
    made = [f"commits {', '.join(commits)}"] if commits else []
    made += [f"machines: {', '.join(machines)}"] if machines else []
    parts += [f"<p>{escape('; '.join(made))}.</p>"] if made else []
    unfinished = [path.name for path in report.found.unfinished]
    left_out = report.sweep.skipped if report.sweep else ()
    found = (("unfinished", unfinished), ("passed over", report.found.problems), ("left out of the sweep", left_out))
    for title, lines in found:
        if lines:
            items = "".join(f"<li>{escape(line)}</li>" for line in lines)
            parts.append(f"<details><summary>{len(lines)} {title}</summary><ul>{items}</ul></details>")
    return "".join(parts)


def _machine(hardware: dict[str, object]) -> str:
    if hardware.get("gpu"):
        return f"{hardware.get('gpu_count')} x {hardware['gpu']}"
    return str(hardware.get("cpu") or "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
