"""What evaluate.py has found of finished runs since: their robustness, beside the scores of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assemble.errors import UserError
from assemble.json_files import is_mapping
from assemble.reporting.metrics import METRICS
from assemble.reporting.read import Run
from assemble.runs.result import EVALUATION, EVALUATION_FILE, check_result

SOURCE = {**EVALUATION, "evaluated": lambda value: is_mapping(value) and isinstance(value.get("source"), str)}


def with_robustness(runs: Sequence[Run], folder: Path) -> list[Run]:
    """Return the runs with the robustness that a folder's ``evaluation.json`` files have of their checkpoints.

    An evaluation is of the run in whose directory its checkpoint lay. Several sets of images make several metrics
    (`assemble.reporting.robustness`); accuracy and calibration stay those of the run.

    Raises:
        UserError: there is no evaluation of one of these runs; one run has two, or has scored its robustness itself.
    """
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in sorted(folder.rglob(EVALUATION_FILE)):
        try:
            result = check_result(path, SOURCE)
        except (OSError, ValueError) as error:
            raise UserError(f"{error}: remove it") from error
        if result.get("robustness"):
            run = Path(result["evaluated"]["source"]).parent.name
            if run in found:
                raise UserError(f"{path} and {found[run][0]} are both of {run}: keep one of them in {folder}")
            found[run] = path, result
    if not any(run.run_id in found for run in runs):
        raise UserError(
            f"no {EVALUATION_FILE} in {folder} has a robustness of these runs: python evaluate.py --help makes one"
        )
    own = next((run.run_id for run in runs if run.result.get("robustness")), None)
    if own:
        raise UserError(f"{own} has scored its robustness itself, which would be compared: leave evaluations= out")
    return [_with(run, found[run.run_id][1]) if run.run_id in found else run for run in runs]


def _with(run: Run, evaluation: dict[str, Any]) -> Run:
    scores = {key: value for key, value in evaluation["metrics"].items() if key in METRICS}
    scores = {key: value for key, value in scores.items() if METRICS[key].of_corruptions}
    block = evaluation["robustness"]
    asked = {**block["settings"], "scored": evaluation["evaluated"].get("images")}
    robustness = {**block, "settings": asked, "evaluated": evaluation["count"]}
    metrics = {**run.result["metrics"], **scores}
    return replace(run, result={**run.result, "metrics": metrics, "robustness": robustness})
