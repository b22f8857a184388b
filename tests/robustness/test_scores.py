"""The scores against their definitions, hand-computed cases and published numbers."""

import numpy as np
import pytest
import torch

from assemble.robustness.corruptions import CORRUPTIONS, EXTRA
from assemble.robustness.scores import (
    ALEXNET_CLEAN_ERROR,
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


def test_the_normalisers_are_of_the_corruptions_that_there_are():
    assert tuple(ALEXNET_ERROR) == CORRUPTIONS
    assert tuple(ALEXNET_ERROR_EXTRA) == EXTRA
    assert len(ALEXNET_FLIPS) == 10


def test_alexnet_has_100_of_everything():
    assert mean_ce(ALEXNET_ERROR) == 100.0
    assert mean_relative_ce(ALEXNET_ERROR, ALEXNET_CLEAN_ERROR) == 100.0
    assert mean_ce(ALEXNET_FLIPS, ALEXNET_FLIPS) == 100.0
    assert set(relative_scores(ALEXNET_ERROR, ALEXNET_ERROR).values()) == {100.0}


def test_means_over_15_and_19_by_hand():
    errors = {name: value / 2 for name, value in ALEXNET_ERROR.items()} | ALEXNET_ERROR_EXTRA
    assert mean_ce(errors) == pytest.approx(50)
    assert mean_ce(errors, {**ALEXNET_ERROR, **ALEXNET_ERROR_EXTRA}) == pytest.approx((15 * 50 + 4 * 100) / 19)
    assert mean_error({"a": 10.0, "b": 40.0, "c": 90.0}, ("a", "b")) == 25


def test_relative_mce_by_hand():
    reference = {"a": 50.0, "b": 80.0}
    # (40 - 20) / (50 - 30) = 1 and (45 - 20) / (80 - 30) = 1 / 2
    assert mean_relative_ce({"a": 40.0, "b": 45.0}, 20.0, reference, 30.0) == pytest.approx(75)


def test_resnet_50_as_published():
    """arXiv 1903.12261, Table 1: CE of each corruption, rounded, mCE 76.7; Table 3: FR, mFR 58.0."""
    ce = [80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77]
    errors = {name: c / 100 * ALEXNET_ERROR[name] for name, c in zip(CORRUPTIONS, ce, strict=True)}
    assert mean_ce(errors) == pytest.approx(76.7, abs=0.5)
    fr = [59, 58, 64, 72, 63, 62, 44, 52, 57, 48]
    flips = {name: f / 100 * ALEXNET_FLIPS[name] for name, f in zip(ALEXNET_FLIPS, fr, strict=True)}
    assert mean_ce(flips, ALEXNET_FLIPS) == pytest.approx(58.0, abs=0.5)


def logits_of(ranks: list[list[int]], classes: int = 8) -> torch.Tensor:
    """(1, T, K): in each frame these classes come first, in this order."""
    logits = torch.zeros(1, len(ranks), classes)
    for t, order in enumerate(ranks):
        rest = [c for c in range(classes) if c not in order]
        for place, c in enumerate([*order, *rest]):
            logits[0, t, c] = -place
    return logits


def test_flips_by_hand():
    # From frame to frame: the same, another, another, the same. Against the first: the same, another, the same twice.
    logits = logits_of([[1], [1], [2], [1], [1]])
    assert flip_probability(logits, noise=False).tolist() == [50.0]
    assert flip_probability(logits, noise=True).tolist() == [25.0]


def test_flips_are_averaged_within_each_sequence():
    still, moving = logits_of([[0], [0], [0]]), logits_of([[0], [1], [0]])
    assert flip_probability(torch.cat([still, moving]), noise=False).tolist() == [0.0, 100.0]


def defined_distance(before: np.ndarray, after: np.ndarray) -> int:
    """Section 3.3: sum over i = 1..5 of the j in (min(i, sigma(i)), max(i, sigma(i))] with 1 <= j - 1 <= 5."""
    rank = {c: place for place, c in enumerate(np.argsort(-after, kind="stable"), start=1)}
    distance = 0
    for i, c in enumerate(np.argsort(-before, kind="stable")[:5], start=1):
        distance += sum(1 <= j - 1 <= 5 for j in range(min(i, rank[c]) + 1, max(i, rank[c]) + 1))
    return distance


@pytest.mark.parametrize("noise", [False, True])
def test_top5_distance_is_as_defined(noise):
    logits = torch.randn(3, 6, 12, generator=torch.Generator().manual_seed(0))
    found = top5_distance(logits, noise=noise)
    for sequence, value in zip(logits.numpy(), found.tolist(), strict=True):
        pairs = [(sequence[0 if noise else t - 1], sequence[t]) for t in range(1, 6)]
        assert value == pytest.approx(np.mean([defined_distance(*pair) for pair in pairs]))


def test_top5_distance_by_hand():
    assert top5_distance(logits_of([[0, 1, 2, 3, 4, 5]] * 3), noise=False).item() == 0
    swapped = logits_of([[0, 1, 2, 3, 4], [1, 0, 2, 3, 4]])
    assert top5_distance(swapped, noise=False).item() == 2
    # The fifth falls to place 8: one step, out of the top five. What happens below them does not count.
    assert top5_distance(logits_of([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 5, 6, 7, 4]]), noise=False).item() == 1
    assert top5_distance(logits_of([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 7, 6, 5]]), noise=False).item() == 0


def test_which_perturbations_are_noise():
    assert [name for name in ALEXNET_FLIPS if is_noise(name)] == ["gaussian_noise", "shot_noise"]
