"""CutMix: the share of the target is the share of the area, exactly."""

import numpy as np
import pytest
import torch

from assemble.errors import UserError
from tricks.cutmix import CutMix, Kind, cutmix, rectangle


def test_target_share_is_the_area_share_exactly():
    """Every image is its own constant, so the pixels tell where they come from."""
    images = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 3, 11, 7).clone()
    for seed in range(30):
        mixed, soft = CutMix().mix(images, torch.eye(6), np.random.default_rng(seed))
        counts = torch.stack([(mixed[:, 0] == i).flatten(1).sum(1) for i in range(6)], 1)
        torch.testing.assert_close(soft, counts / 77, rtol=0, atol=1e-6)
        assert (mixed == mixed[:, :1]).all(), "one rectangle for all channels"
    assert torch.equal(images[:, 0, 0, 0], torch.arange(6.0)), "the batch itself is left alone"


def test_full_and_empty_rectangles():
    images, targets, order = torch.randn(4, 3, 6, 6), torch.eye(4), torch.tensor([1, 2, 3, 0])
    mixed, soft = cutmix(images, targets, order, (0, 0, 0, 0))
    assert torch.equal(mixed, images)
    assert torch.equal(soft, targets)
    mixed, soft = cutmix(images, targets, order, (0, 6, 0, 6))
    assert torch.equal(mixed, images[order])
    assert torch.equal(soft, targets[order])


def test_rectangle_of_the_paper():
    """Side lengths sqrt(1 - lam), cut at the border (Algorithm 1)."""
    assert rectangle(100, 50, 1.0, 30, 30) == (30, 30, 30, 30)
    assert rectangle(100, 50, 0.75, 50, 25) == (25, 75, 13, 37)
    assert rectangle(100, 50, 0.75, 0, 49) == (0, 25, 37, 50)
    assert rectangle(100, 50, 0.0, 50, 25) == (0, 100, 0, 50)


def test_mean_share_of_the_distribution():
    """Beta(1, 1) is uniform: inside the image, the rectangle would cover 1/2 on average; the border takes from it."""
    images, targets = torch.zeros(2, 1, 32, 32), torch.eye(2)
    kept = []
    for seed in range(400):
        _, soft = CutMix().mix(images, targets, np.random.default_rng(seed))
        kept.append(float(soft[0, 0]))
    swapped = [k for k in kept if k < 1]  # the permutation is the identity half of the time: then nothing changes
    assert 0.35 < len(swapped) / 400 < 0.65
    assert 0.6 < np.mean(swapped) < 0.8
    even = []
    for seed in range(400):
        _, soft = CutMix(alpha=50.0).mix(images, targets, np.random.default_rng(seed))
        even.append(float(soft[0, 0]))
    assert min(even) > 0.3, "alpha reaches the distribution: a large one keeps lam near 1/2"
    assert min(swapped) < 0.2


def test_type1_takes_the_rectangle_from_the_second_half():
    images, targets, box = torch.randn(6, 3, 5, 5), torch.eye(6), (1, 3, 0, 4)
    mixed, soft = cutmix(images, targets, box=box, kind="type1")
    swapped, shares = cutmix(images, targets, torch.tensor([3, 4, 5, 0, 1, 2]), box)
    assert torch.equal(mixed, swapped[:3])
    assert torch.equal(soft, shares[:3])
    with pytest.raises(UserError, match="3 images"):
        cutmix(images[:3], targets[:3], kind="type1")


def test_a_kind_that_is_left_open_is_that_of_the_partner():
    assert CutMix().images_per_target == 1
    assert CutMix().drawing(2).images_per_target == 2
    assert CutMix(kind=Kind.permutation).drawing(2).images_per_target == 1


def test_a_batch_of_one_is_refused():
    CutMix().check_batch(2)
    CutMix(kind=Kind.type1).check_batch(1)
    with pytest.raises(UserError, match="2 images"):
        CutMix().check_batch(1)
