"""The scores of *Benchmarking Neural Network Robustness* (Hendrycks and Dietterich 2019, arXiv 1903.12261).

Section 3.2 for corruptions, 3.3 for perturbations. Errors and scores are percentages. An error of a corruption is the
mean over its five severities, which all have the same images: then sums and means have the same ratios.

Shapes: S sequences, T frames, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

import torch
from torch import Tensor

ALEXNET_ERROR = {
    "gaussian_noise": 88.6428,
    "shot_noise": 89.4468,
    "impulse_noise": 92.2640,
    "defocus_blur": 81.9880,
    "glass_blur": 82.6268,
    "motion_blur": 78.5948,
    "zoom_blur": 79.8360,
    "snow": 86.6816,
    "frost": 82.6572,
    "fog": 81.9324,
    "brightness": 56.4592,
    "contrast": 85.3204,
    "elastic_transform": 64.6056,
    "pixelate": 71.7840,
    "jpeg_compression": 60.6500,
}
"""AlexNet's errors on ImageNet-C: imagenet.py of google-research/augmix. The official Assemble-ResNet code has the same
(mce/eval_robustness.py), but with four digits instead of six."""

ALEXNET_ERROR_EXTRA = {"speckle_noise": 84.54, "gaussian_blur": 78.71, "spatter": 71.75, "saturate": 65.83}
"""The same of the four corruptions that are for validation: mce/eval_robustness.py. Its printed mean includes them."""

ALEXNET_CLEAN_ERROR = 43.5
"""Of the images without corruption: arXiv 1903.12261, Table 1."""

ALEXNET_FLIPS = {
    "gaussian_noise": 23.653,
    "shot_noise": 30.062,
    "motion_blur": 9.297,
    "zoom_blur": 5.942,
    "snow": 11.928,
    "brightness": 4.889,
    "translate": 11.007,
    "rotate": 13.104,
    "tilt": 7.050,
    "scale": 23.531,
}
"""AlexNet's flip probabilities on ImageNet-P: mce/eval_robustness.py of the official Assemble-ResNet code."""

ALEXNET_FLIPS_EXTRA = {"spatter": 5.053, "speckle_noise": 18.649, "gaussian_blur": 2.775, "shear": 10.658}
"""The same of the four perturbations that are for validation."""


def relative_scores(values: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Return 100 * value / reference for all that have both: CE of errors, FR of flips, T5D of distances."""
    return {name: 100 * (value / reference[name]) for name, value in values.items() if name in reference}


def mean_ce(errors: Mapping[str, float], reference: Mapping[str, float] = ALEXNET_ERROR) -> float:
    """Return mCE: the mean over ``reference``'s corruptions of 100 * error / reference error."""
    return fmean(100 * (errors[name] / reference[name]) for name in reference)


def mean_relative_ce(
    errors: Mapping[str, float],
    clean: float,
    reference: Mapping[str, float] = ALEXNET_ERROR,
    reference_clean: float = ALEXNET_CLEAN_ERROR,
) -> float:
    """Return the relative mCE: the same of what the corruptions add to the error without them."""
    return fmean(100 * ((errors[name] - clean) / (reference[name] - reference_clean)) for name in reference)


def mean_error(errors: Mapping[str, float], names: Iterable[str] = tuple(ALEXNET_ERROR)) -> float:
    """Return the mean error over corruptions, not normalised: as for CIFAR-C, and in arXiv 2001.06268 for Food-101."""
    return fmean(errors[name] for name in names)


def is_noise(perturbation: str) -> bool:
    """Return True where a perturbation's frames are independent: all are then compared with the first, a clean one."""
    return "noise" in perturbation


def flip_probability(logits: Tensor, *, noise: bool) -> Tensor:
    """Return how often the predicted class is another than one frame before (noise: than in the first frame).

    Args:
        logits: (S, T, K).

    Returns:
        percentage for each sequence (S,). FP is their mean.
    """
    predicted = logits.argmax(-1)
    before = predicted[:, :1] if noise else predicted[:, :-1]
    return 100 * (predicted[:, 1:] != before).float().mean(1)


def top5_distance(logits: Tensor, *, noise: bool) -> Tensor:
    """Return how far a frame's five best classes have moved in the other one, within its five best and out of them.

    With sigma(i) the other rank of what is i-th, d = sum over i = 1..5 of |min(i, 6) - min(sigma(i), 6)|: it matters
    how far a class moves within the first five, and whether it leaves them, but not how far.

    Args:
        logits: (S, T, K).

    Returns:
        mean distance for each sequence (S,). uT5D is their mean.
    """
    order = logits.argsort(dim=-1, descending=True, stable=True)
    ranks = order.argsort(dim=-1)  # (S, T, K): rank of each class, from 0
    earlier, later = (order[:, :1].expand_as(order[:, 1:]) if noise else order[:, :-1]), ranks[:, 1:]
    top = earlier[..., :5]
    moved = later.gather(-1, top).clamp(max=5)  # where the best five are now
    places = torch.arange(top.shape[-1], device=logits.device)
    return (moved - places).abs().sum(-1).float().mean(1)
