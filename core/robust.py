"""Robustness scores of a trained network, as a block of its run's result or of its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from conf.schema import Corruptions, DataConfig, RobustnessConfig
from core.errors import UserError
from core.runs import hex_digits
from lit_modules.datasets import EvalSet, Scored
from robustness.ledger import Ledger
from robustness.measure import corruption_errors, corruption_summary, perturbation_scores, perturbation_summary
from robustness.sets import CifarC, ImageNetC, OnTheFly
from robustness.videos import ImageNetP
from scoring.names import is_imagenet
from scoring.predictor import Loading, Predictor

HEADLINES = {
    "mce": "mce_drawn_frost",
    "corruption_error": "corruption_error",
    "mfr": "mfr",
    "mean_flip_probability": "mean_flip_probability",
}
"""What of a block stands among a result's metrics (the first that there is), and what it is called where frost was not
made of the published textures: such an mCE does not compare with others."""


RobustnessSet = ImageNetC | CifarC | OnTheFly | ImageNetP


def open_set(cfg: RobustnessConfig, data: DataConfig, scored: Scored) -> RobustnessSet:
    """The corrupted pictures that ``eval.corruptions`` names, for a network that is scored on these pictures.

    Raises:
        UserError: settings that do not go together; missing, damaged or other pictures.
    """
    size, kind = data.scored_size, cfg.corruptions
    own = {"extra": cfg.corruptions_extra, "preset": cfg.corruptions_preset, "jpeg": cfg.corruptions_jpeg}
    if kind is Corruptions.on_the_fly:
        if cfg.corruptions_root:
            raise UserError("eval.corruptions_root is of published pictures: leave it out with corruptions=on_the_fly")
        return OnTheFly(EvalSet(scored.pictures, scored.crop), size, textures=cfg.frost_textures, **own)
    if any(own.values()) or cfg.frost_textures:
        raise UserError(
            "eval.corruptions_extra, _preset, _jpeg and eval.frost_textures are for eval.corruptions=on_the_fly: "
            "leave them out"
        )
    assert kind is not None
    if not cfg.corruptions_root:
        raise UserError(f"eval.corruptions={kind.value} needs eval.corruptions_root=DIR, the published pictures")
    root = Path(cfg.corruptions_root).expanduser()
    if not root.is_dir():
        raise UserError(f"eval.corruptions_root={cfg.corruptions_root} is not a folder")
    if kind is Corruptions.imagenet_c:
        return ImageNetC(root, scored.classes, size)
    return CifarC(root, len(scored.classes), size) if kind is Corruptions.cifar_c else ImageNetP(root, size)


def robustness(
    pictures: RobustnessSet,
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
    """The block ``robustness`` of a result. What is computed is kept in ``folder`` bit by bit.

    Args:
        pictures: of `open_set`, for a network that is scored on ``scored``.
        settings: what tells this block from others (`core.runs.asked_robustness`).
        clean: top-1 error in percent on the pictures as they are.
        baseline: the same block of another network.
    """
    imagenet = is_imagenet(scored.classes, data.name)
    # Not of the settings alone: the weights may have been trained anew since, and textures of frost been installed.
    about = {**settings, **pictures.about, "network": predict.trained.digest()}
    ledger = Ledger(folder / f"robustness-{_digest(about)}.json")
    if isinstance(pictures, ImageNetP):
        scores = perturbation_scores(pictures, predict, loading.sequences, ledger, shown=shown)
        summary = perturbation_summary(scores, imagenet=imagenet, baseline=baseline)
    else:
        errors = corruption_errors(pictures, predict, loading, ledger, offset=data.label_offset, shown=shown)
        imagenet = imagenet and len(np.unique(pictures.labels)) == 1000
        summary = corruption_summary(errors, clean, imagenet=imagenet, baseline=baseline)
    return {"settings": dict(settings), **pictures.about, **summary}


def _digest(about: Mapping[str, Any]) -> str:
    """Hex digits of all that an error depends on."""
    kept = {key: value for key, value in about.items() if key not in ("extra", "baseline")}
    return hex_digits(kept)


def with_robustness(result: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """A result with the block in it and one number of it among the metrics, in the place of an earlier one's."""
    kept = {name: value for name, value in result["metrics"].items() if name not in {*HEADLINES, *HEADLINES.values()}}
    key = next(name for name in HEADLINES if name in block)
    name = key if block.get("frost_comparable", True) else HEADLINES[key]
    return {**result, "metrics": {**kept, name: block[key]}, "robustness": dict(block)}


def table(block: Mapping[str, Any]) -> Table:
    """The block for the terminal: a line for each corruption or perturbation, the means below."""
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
