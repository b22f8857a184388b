"""Robustness scores of a trained network, as a block of its run's result or of its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from assemble.data.sources import Scored
from assemble.robustness.choice import RobustnessSet
from assemble.robustness.imagenet_p import ImageNetP
from assemble.robustness.measure import corruption_errors, corruption_summary, perturbation_scores, perturbation_summary
from assemble.robustness.score_cache import Ledger
from assemble.runs.identity import hex_digits
from assemble.schema import DataConfig
from assemble.scoring.class_names import is_imagenet
from assemble.scoring.predictor import Loading, Predictor

HEADLINES = {
    "mce": "mce_drawn_frost",
    "corruption_error": "corruption_error",
    "mfr": "mfr",
    "mean_flip_probability": "mean_flip_probability",
}
"""What of a block stands among a result's metrics (the first that there is), and what it is called where frost was not
made of the published textures: such an mCE does not compare with others."""


def robustness(
    images: RobustnessSet,
    data: DataConfig,
    scored: Scored,
    predict: Predictor,
    loading: Loading,
    *,
    folder: Path,
    settings: Mapping[str, Any],
    clean: float,
    baseline: Mapping[str, Any] | None = None,
    shown: bool = True,
) -> dict[str, Any]:
    """Return the block ``robustness`` of a result; what is computed is kept in ``folder`` bit by bit.

    Args:
        images: of `open_set`, for a network that is scored on ``scored``.
        settings: what tells this block from others (`assemble.runs.result.asked_robustness`).
        clean: top-1 error in percent on the images as they are.
        baseline: the same block of another network.
    """
    imagenet = is_imagenet(scored.classes, data.name)
    # Not of the settings alone: the weights may have been trained anew since, and textures of frost been installed.
    about = {**settings, **images.about, "network": predict.trained.digest()}
    ledger = Ledger(folder / f"robustness-{_digest(about)}.json")
    if isinstance(images, ImageNetP):
        scores = perturbation_scores(images, predict, loading.sequences, ledger, shown=shown)
        summary = perturbation_summary(scores, imagenet=imagenet, baseline=baseline)
    else:
        errors = corruption_errors(images, predict, loading, ledger, offset=data.label_offset, shown=shown)
        imagenet = imagenet and len(np.unique(images.labels)) == 1000
        summary = corruption_summary(errors, clean, imagenet=imagenet, baseline=baseline)
    return {"settings": dict(settings), **images.about, **summary}


def _digest(about: Mapping[str, Any]) -> str:
    """Return hex digits of all that an error depends on."""
    kept = {key: value for key, value in about.items() if key not in ("extra", "baseline")}
    return hex_digits(kept)


def with_robustness(result: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result with the block in it and one number of it among the metrics, replacing an earlier one's."""
    kept = {name: value for name, value in result["metrics"].items() if name not in {*HEADLINES, *HEADLINES.values()}}
    key = next(name for name in HEADLINES if name in block)
    name = key if block.get("frost_comparable", True) else HEADLINES[key]
    return {**result, "metrics": {**kept, name: block[key]}, "robustness": dict(block)}


def table(block: Mapping[str, Any]) -> Table:
    """Return the block as a table for the terminal: a line for each corruption or perturbation, the means below."""
    shown = Table(title=f"robustness: {block['settings']['corruptions']}", title_justify="left")
    columns = {
        "error": "top-1 error %",
        "ce": "CE %",
        "flip_probability": "flips %",
        "fr": "FR %",
        "top5_distance": "top-5 distance",
    }
    columns = {key: head for key, head in columns.items() if key in block}
    shown.add_column("")
    for head in columns.values():
        shown.add_column(head, justify="right")
    for name in block[next(iter(columns))]:
        shown.add_row(name, *(f"{block[key][name]:.2f}" if name in block[key] else "-" for key in columns))
    shown.add_section()
    for key, value in block.items():
        if isinstance(value, float):
            shown.add_row(key.replace("_", " "), f"{value:.2f}")
    if not block.get("frost_comparable", True):
        shown.caption = "frost is drawn (eval.frost_textures): no comparison with published numbers"
    return shown
