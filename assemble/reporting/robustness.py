"""Robustness that was scored on different images: told apart, so that nothing averages or compares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from assemble.reporting.differences import text
from assemble.reporting.metrics import METRICS
from assemble.reporting.read import Run

UNSEEN = {"extra"}
"""Settings that change none of a result's metrics: these are means over the 15 corruptions."""


def told_apart(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of one data set, with robustness metrics that say their settings where these differ.

    ``mce`` is ``mce (jpeg=true)`` then, a metric of its own.
    """
    conditions = [_conditions(run) for run in runs]
    found = [condition for condition in conditions if condition]
    keys = dict.fromkeys(key for condition in found for key in condition)
    differing = [key for key in keys if len({text(c[key]) for c in found if key in c}) > 1]
    return [_marked(run, c, differing) if c and differing else run for run, c in zip(runs, conditions, strict=True)]


def _conditions(run: Run) -> dict[str, Any]:
    """Return setting -> value.

    What was asked for and, of what was left open, what it came to (the preset, the textures).
    """
    block = run.result.get("robustness") or {}
    asked = block.get("settings") or {}
    return {key: block.get(key, value) for key, value in asked.items() if key not in UNSEEN}


def _marked(run: Run, conditions: Mapping[str, Any], differing: Sequence[str]) -> Run:
    mark = ", ".join(f"{key}={text(conditions[key])}" for key in differing if key in conditions)
    metrics = {
        f"{name} ({mark})" if name in METRICS and METRICS[name].of_corruptions else name: value
        for name, value in run.result["metrics"].items()
    }
    return replace(run, result={**run.result, "metrics": metrics})
