"""A network's answers to corrupted and perturbed images, and the scores that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from assemble.progress_bar import bar
from assemble.robustness.corruptions import SEVERITIES
from assemble.robustness.imagenet_p import ImageNetP
from assemble.robustness.score_cache import Ledger
from assemble.robustness.scores import (
    ALEXNET_ERROR,
    ALEXNET_ERROR_EXTRA,
    ALEXNET_FLIPS,
    flip_probability,
    is_noise,
    mean_ce,
    mean_error,
    mean_relative_ce,
    relative_scores,
    top5_distance,
)
from assemble.robustness.sets import CorruptedSet

Predict = Callable[[Tensor], Tensor]
"""Images (N, 3, H, W) on the 0-255 scale -> logits (N, K)."""
Load = Callable[[Any], Iterable[Any]]
"""Images -> batches (images (N, 3, H, W), labels (N,)); sequences -> one (T, 3, H, W) after the other."""


def corruption_errors(
    data: CorruptedSet, predict: Predict, load: Load, ledger: Ledger, *, offset: int = 0, shown: bool = True
) -> dict[str, float]:
    """Return top-1 errors in percent as ``<corruption>/<severity>``; those in the ledger are not computed again.

    Args:
        data: the corrupted images.
        predict, load: the network, and how it gets its batches.
        ledger: keeps each error.
        offset: outputs of the network before that of label 0.
        shown: with a progress bar.
    """
    pairs = [(name, severity) for name in data.names for severity in SEVERITIES]
    with bar("corruptions", "image", total=len(pairs) * len(data), shown=shown) as shows:
        for name, severity in pairs:
            key = f"{name}/{severity}"
            shows.set_postfix_str(key, refresh=False)
            if key in ledger.values:
                shows.update(len(data))
                continue
            wrong = torch.zeros((), dtype=torch.long)
            count = 0
            for images, labels in load(data.images(name, severity)):
                predicted = predict(images).argmax(1)
                wrong = wrong.to(predicted.device) + (predicted != labels.to(predicted.device) + offset).sum()
                count += len(labels)
                shows.update(len(labels))
            ledger.add(key, 100 * int(wrong) / count)
    return {key: ledger.values[key] for key in (f"{name}/{severity}" for name, severity in pairs)}


def perturbation_scores(
    data: ImageNetP, predict: Predict, load: Load, ledger: Ledger, *, shown: bool = True
) -> dict[str, tuple[float, float]]:
    """Return flip probability in % and top-5 distance of each perturbation; arguments as in `corruption_errors`."""
    total = sum(len(data.sequences(name)) for name in data.names)
    with bar("perturbations", "sequence", total=total, shown=shown) as shows:
        for name in data.names:
            sequences = data.sequences(name)
            shows.set_postfix_str(name, refresh=False)
            if name in ledger.values:
                shows.update(len(sequences))
                continue
            flips, distances = [], []
            for frames in load(sequences):
                logits = predict(frames)[None]
                flips.append(flip_probability(logits, noise=is_noise(name)))
                distances.append(top5_distance(logits, noise=is_noise(name)))
                shows.update()
            ledger.add(name, (float(torch.cat(flips).mean()), float(torch.cat(distances).mean())))
    return {name: tuple(ledger.values[name]) for name in data.names}


def corruption_summary(
    errors: Mapping[str, float], clean: float, *, imagenet: bool, baseline: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return all scores that follow from errors ``<corruption>/<severity>``, in percent.

    Args:
        errors: of `corruption_errors`.
        clean: the error on the images as they are.
        imagenet: are they ImageNet's 1,000 classes? Only then AlexNet's errors are a measure.
        baseline: another network's summary, whose errors take the place of AlexNet's in scores of their own names.
    """
    names = dict.fromkeys(key.partition("/")[0] for key in errors)
    mean = {name: fmean(errors[f"{name}/{severity}"] for severity in SEVERITIES) for name in names}
    summary: dict[str, Any] = {
        "error": mean,
        "error_by_severity": dict(errors),
        "clean_error": clean,
        "corruption_error": mean_error(mean),
        "corruption_error_above_clean": mean_error(mean) - clean,
    }
    if imagenet:
        all_19 = {**ALEXNET_ERROR, **ALEXNET_ERROR_EXTRA}
        summary |= {"ce": relative_scores(mean, all_19), "mce": mean_ce(mean)}
        summary["relative_mce"] = mean_relative_ce(mean, clean)
        if all_19.keys() <= mean.keys():
            # The official Assemble-ResNet script prints the mean over 19, and means mCE by it.
            summary["mce_19"] = mean_ce(mean, all_19)
    if baseline:
        reference = {name: baseline["error"][name] for name in ALEXNET_ERROR}
        summary["mce_to_baseline"] = mean_ce(mean, reference)
        summary["relative_mce_to_baseline"] = mean_relative_ce(mean, clean, reference, baseline["clean_error"])
    return summary


def perturbation_summary(
    scores: Mapping[str, tuple[float, float]], *, imagenet: bool, baseline: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return all scores that follow from `perturbation_scores`; arguments as in `corruption_summary`.

    AlexNet's top-5 distances are not published: mT5D needs a ``baseline``.
    """
    flips, distances = ({name: pair[i] for name, pair in scores.items()} for i in (0, 1))
    summary: dict[str, Any] = {
        "flip_probability": flips,
        "top5_distance": distances,
        "mean_flip_probability": fmean(flips[name] for name in ALEXNET_FLIPS),
        "mean_top5_distance": fmean(distances[name] for name in ALEXNET_FLIPS),
    }
    if imagenet:
        summary |= {"fr": relative_scores(flips, ALEXNET_FLIPS), "mfr": mean_ce(flips, ALEXNET_FLIPS)}
    if baseline:
        for score, values, key in (("mfr", flips, "flip_probability"), ("mt5d", distances, "top5_distance")):
            reference = {name: baseline[key][name] for name in ALEXNET_FLIPS}
            summary[f"{score}_to_baseline"] = mean_ce(values, reference)
    return summary
