"""The tables as text: Markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assemble.atomic import write_whole
from assemble.errors import UserError
from assemble.printable import csv_cell
from assemble.reporting.columns import METHOD, Column, columns
from assemble.reporting.metrics import metric
from assemble.reporting.statistics import Gain
from assemble.reporting.table import Row, Table

BEGIN, END = "<!-- ablation:begin -->", "<!-- ablation:end -->"
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹ ", "0123456789,")


def superscript(marks: Sequence[int]) -> str:
    """Format numbers of footnotes as they stand behind a label."""
    return " ".join(str(mark).translate(SUPERSCRIPTS) for mark in marks)


def footnotes(table: Table) -> list[str]:
    """Return the lines below a table."""
    shared = ", ".join(f"{key}={value}" for key, value in table.common.items())
    lines = [f"All rows differ from their recipes by {shared}."] if shared else []
    if table.chosen_on_scored:
        lines.append("Scored on the validation images, since there is no test set: what was chosen on them looks good.")
    return lines + [f"{superscript([number])} {note}" for number, note in enumerate(table.notes, 1)]


def markdown(tables: Sequence[Table]) -> str:
    """Return one Markdown table for each data set, with its notes."""
    parts = []
    for table in tables:
        shown = columns(table)
        lines = [
            [column.title for column in shown],
            ["---:" if column.numeric else "---" for column in shown],
            *(map(_markdown, _cells(table, row, shown)) for row in table.rows),
        ]
        parts.append(f"**{_markdown(table.title)}**")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts += footnotes(table)
    return "\n\n".join([*parts, METHOD]) + "\n"


def insert(path: Path, text: str) -> None:
    """Put ``text`` between the markers of a file, which are made at its end where there are none.

    Raises:
        UserError: one of the markers is missing, or they are in the wrong order; the file is no text.
    """
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: name a Markdown file") from error
    if BEGIN not in old and END not in old:
        old += ("\n" if old and not old.endswith("\n\n") else "") + f"{BEGIN}\n{END}\n"
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path} has only one of {BEGIN} and {END}, or in the wrong order: put both, in this order")
    write(path, f"{before}{BEGIN}\n{text}{END}{after}")


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole, in a folder that is made where it is missing.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}. Choose another place") from error


def latex(tables: Sequence[Table]) -> str:
    """Return one ``tabular`` with booktabs' rules for each data set."""
    parts = ["% \\usepackage{booktabs}"]
    for table in tables:
        shown = columns(table)
        kinds = "".join("r" if column.numeric else "l" for column in shown)
        head = " & ".join(_latex(column.title) for column in shown)
        body = [" & ".join(map(_latex, _cells(table, row, shown))) + r" \\" for row in table.rows]
        lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head + r" \\", r"\midrule", *body, r"\bottomrule"]
        parts.append("\n".join([f"% {table.title}", *lines, r"\end{tabular}"]))
        parts += [rf"\par\noindent\footnotesize {_latex(line)}" for line in [*footnotes(table), METHOD]]
    return "\n\n".join(parts) + "\n"


def records(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return every row with all that is known about it, in full precision; every record has the same keys."""
    found = [_record(table, row) for table in tables for row in table.rows]
    keys = dict.fromkeys(key for record in found for key in record)
    return [{key: record.get(key) for key in keys} for record in found]


def csv_text(tables: Sequence[Table]) -> str:
    """Return `records` as CSV."""
    rows = records(tables)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _record(table: Table, row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {
        "data": table.title,
        "configuration": row.label,
        "recipe": row.recipe,
        "tricks": " ".join(row.tricks),
        "config_hash": row.config_hash,
        "n": row.n,
        "seeds": " ".join(str(run.seed) for run in row.runs),
        "folds": " ".join(str(run.fold) for run in row.runs if run.fold is not None),
    }
    for key in table.metrics:
        spread = row.spread(key)
        record |= {
            f"{key}_n": spread.n if spread else 0,
            f"{key}_mean": spread.mean if spread else None,
            f"{key}_sd": spread.sd if spread else None,
        }
    record |= _gain("gain", row.gain) | _gain("step", row.step)
    for key in table.reported:
        mean, published = row.mean(key), row.reported.get(key)
        record[f"published_{key}"] = published
        record[f"measured_less_published_{key}"] = None if mean is None or published is None else mean - published
    result = row.runs[0].result
    return record | {
        "params": result.get("params"),
        "macs": result.get("macs"),
        "epochs": result.get("epochs"),
        "train_seconds": row.mean("train_seconds"),
        "gain_of": metric(table.metric.key).key,
        "baseline": table.baseline.label,
        "changed": json.dumps(row.changed, default=str),
        "notes": "; ".join(row.notes),
    }


def _gain(name: str, gain: Gain | None) -> dict[str, Any]:
    """Return a gain's columns; ``step`` is over the row above."""
    low, high = gain.interval if gain and gain.interval else (None, None)
    bootstrap_low, bootstrap_high = gain.bootstrap if gain and gain.bootstrap else (None, None)
    return {
        f"{name}_n": gain.n if gain else 0,
        f"{name}_over": gain.over if gain else "",
        name: gain.mean if gain else None,
        f"{name}_t_low": low,
        f"{name}_t_high": high,
        f"{name}_bca_low": bootstrap_low,
        f"{name}_bca_high": bootstrap_high,
        f"{name}_told_apart": gain.told_apart if gain else None,
        f"{name}_p": gain.p if gain else None,
        f"{name}_p_holm": gain.holm if gain else None,
    }


def _cells(table: Table, row: Row, shown: Sequence[Column]) -> list[str]:
    """Return a row's cells, the first with the numbers of its footnotes."""
    first, *others = [column.cell(row) for column in shown]
    return [first + superscript(table.marks(row)), *others]


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_\[\]<>`])", r"\\\1", text)


def _latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    text = "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
    for sign, code in (("±", r"$\pm$"), ("≈", r"$\approx$"), ("\N{MINUS SIGN}", "$-$")):
        text = text.replace(sign, code)
    return re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?: [⁰¹²³⁴⁵⁶⁷⁸⁹]+)*", lambda found: f"$^{{{found[0].translate(PLAIN)}}}$", text)
