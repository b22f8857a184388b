"""The model card: what the weights are of, what they reach, and how they came about."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assemble.models.cost import Cost
from assemble.plugins import called
from assemble.runs.result import read_result
from assemble.scoring.trained import Trained
from assemble.wording import amount

UNITS = {"top1": "top-1 %", "top5": "top-5 %", "ece": "ECE %", "mce": "mCE"}
"""How metrics are called where their name does not say it."""
FEW = 20
"""Classes whose names a card lists; the files name all of them."""


def repetitions(directory: Path) -> list[dict[str, Any]]:
    """Read the results of the run in ``directory`` and of the runs beside it that differ from it in the seed alone."""
    own = read_result(directory)
    if own is None:
        return []
    beside = (read_result(path.parent) for path in sorted(directory.resolve().parent.glob("*/result.json")))
    others = [r for r in beside if r and r.get("config_hash") == own["config_hash"] and r["run_id"] != own["run_id"]]
    return [own, *others]


def card(
    source: str,
    trained: Trained,
    config: Mapping[str, Any],
    cost: Cost,
    results: Sequence[Mapping[str, Any]],
    files: Mapping[str, str],
) -> str:
    """Return the text of the model card, in Markdown.

    Args:
        source: name of the checkpoint.
        trained: its network.
        config: the resolved configuration of its run.
        cost: at the size at which it is scored.
        results: result.json of its run, then of the same run with other seeds; empty where it was not trained here.
        files: file name -> what it is, and how it was verified.
    """
    own = results[0] if results else {}
    mean, std = ([round(float(x), 3) for x in values.flatten()] for values in (trained.mean, trained.std))
    facts = {
        "Network": f"{config['model']['name']}, {trained.classes} classes, {cost.params:,} parameters, "
        f"{amount(cost.macs)} multiply-adds",
        "Weights": source,
        "Recipe": own.get("recipe"),
        "Tricks": ", ".join(_trick(name, parameters) for name, parameters in sorted(config["tricks"].items()))
        or "none",
        "Data": called(config["data"]),
        "Images": f"RGB, {trained.size}x{trained.size}, on the 0-255 scale; mean {mean}, standard deviation {std}",
        "Outputs": _outputs(trained.class_names, config["data"].get("label_offset") or 0),
        "Command": f"`{own['command']}`" if own.get("command") else None,
        "Commit": own.get("git_commit"),
        "Made with": json.dumps(own["versions"]) if own.get("versions") else None,
    }
    lines = [f"# {trained.name}", ""]
    lines += [f"* **{key}**: {value}" for key, value in facts.items() if value]
    lines += ["", "## Scores", "", *_scores(results, config.get("reported") or {})]
    scored = f"{own.get('weights')}.ckpt"
    if own and source != scored:
        lines += ["", f"The scores are of {scored} of the run, not of {source}."]
    lines += [
        "",
        "## Files",
        "",
        "| file | |",
        "|---|---|",
        *(f"| `{name}` | {about} |" for name, about in files.items()),
    ]
    return "\n".join([*lines, ""])


def _outputs(names: Sequence[str] | None, offset: int) -> str | None:
    """Say which class each output is of."""
    first = f"output {offset} is the first class of the data; those before it are background. " if offset else ""
    if not names:
        return first.strip() or None
    shown = [*names[:FEW], "..", names[-1]] if len(names) > FEW + 1 else names
    return f"{first}In their order: {', '.join(map(str, shown))}"


def _trick(name: str, parameters: Mapping[str, Any]) -> str:
    inside = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name} ({inside})" if inside else name


def _scores(results: Sequence[Mapping[str, Any]], reported: Mapping[str, Any]) -> list[str]:
    """Return the scores of this run, and over its repetitions; and what was published of the recipe."""
    if not results:
        published = ", ".join(f"{UNITS.get(key, key)} {value}" for key, value in reported.items())
        return ["Not scored here yet." + (f" Published of this recipe: {published}." if published else "")]
    n = len(results)
    others = f" mean ± standard deviation, n = {n} seeds |" if n > 1 else ""
    rows = [f"| | seed {results[0]['seed']} |{others}", "|---|---|" + "---|" * (n > 1)]
    for key, value in results[0]["metrics"].items():
        if not isinstance(value, int | float):
            continue
        row = f"| {UNITS.get(key, key)} | {value:.4g} |"
        if n > 1:
            # Robustness may have been asked of some seeds alone.
            values = [v for result in results if isinstance(v := result["metrics"].get(key), int | float)]
            pooled = f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g}" if len(values) == n else ""
            row += f" {pooled} |"
        rows.append(row)
    return rows
