"""Mixup against the official code's numbers and its limiting cases."""

import numpy as np
import pytest
import torch

from assemble.errors import UserError
from tests.helpers import official
from tricks.mixup import Kind, Mixup, mix_pairs, mixup

V = {k.removeprefix("mixup/"): v for k, v in official.values().items() if k.startswith("mixup/")}


@pytest.mark.parametrize("kind", [Kind.type1, Kind.type2])
def test_official_values(kind):
    lam = V["lam1"] if kind is Kind.type1 else torch.cat([V["lam1"], V["lam2"]])
    images, targets = mixup(official.nchw(V["images"]), V["onehot"], kind, lam)
    torch.testing.assert_close(images, official.nchw(V[f"{kind.value}/images"]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(targets, V[f"{kind.value}/labels"], rtol=1e-5, atol=1e-5)


def batch(n=6):
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, 4, 5, generator=g), torch.eye(7)[torch.arange(n) % 7]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_lambda_one_is_the_first_image_and_zero_the_second(kind, lam):
    images, targets = batch()
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    rows = 3 if kind is Kind.type1 else 6
    second = {
        Kind.type1: torch.tensor([3, 4, 5]),
        Kind.type2: torch.tensor([3, 4, 5, 5, 4, 3]),
        Kind.permutation: order,
    }[kind]
    first = {Kind.type1: torch.arange(3), Kind.type2: torch.arange(6) % 3, Kind.permutation: torch.arange(6)}[kind]
    chosen = first if lam else second
    mixed, soft = mixup(images, targets, kind, torch.full((rows,), lam), order)
    torch.testing.assert_close(mixed, images[chosen], rtol=0, atol=1e-6)
    torch.testing.assert_close(soft, targets[chosen], rtol=0, atol=1e-6)


def test_one_lambda_for_each_pair():
    """Black and white images: a mixture shows its lambda, the same as its target's; pairs have their own."""
    images = torch.cat([torch.ones(8, 3, 2, 2), torch.zeros(8, 3, 2, 2)])
    targets = torch.cat([torch.eye(2)[[0] * 8], torch.eye(2)[[1] * 8]])
    mixed, soft = Mixup(alpha=1.0).mix(images, targets, np.random.default_rng(0))
    assert mixed.shape == (8, 3, 2, 2)
    assert (mixed == mixed[:, :1, :1, :1]).all()
    torch.testing.assert_close(mixed[:, 0, 0, 0], soft[:, 0])
    torch.testing.assert_close(soft.sum(1), torch.ones(8))
    assert len(soft[:, 0].unique()) == 8
    assert (soft[:, 0] < 0.5).any(), "lambda must not be folded to max(lambda, 1 - lambda)"
    assert (soft[:, 0] > 0.5).any()


def test_lambda_follows_the_beta_distribution():
    """Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1))."""
    images, targets = torch.zeros(20_000, 1, 1, 1), torch.cat([torch.eye(2)[[0] * 10_000], torch.eye(2)[[1] * 10_000]])
    for alpha in (0.2, 1.0):
        _, soft = Mixup(alpha=alpha).mix(images, targets, np.random.default_rng(0))
        lam = soft[:, 0]
        assert lam.mean() == pytest.approx(0.5, abs=0.02)
        assert lam.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


@pytest.mark.parametrize(("kind", "rows"), [("type1", 4), ("type2", 8), ("permutation", 8)])
def test_kinds_draw_what_they_need(kind, rows):
    trick = Mixup(kind=kind)
    assert trick.images_per_target == 8 // rows
    images, targets = batch(8)
    mixed, soft = trick.mix(images, targets, np.random.default_rng(0))
    assert len(mixed) == len(soft) == rows
    again, _ = trick.mix(images, targets, np.random.default_rng(0))
    assert torch.equal(mixed, again)
    assert not torch.equal(mixed, trick.mix(images, targets, np.random.default_rng(1))[0])


def test_permutation_pairs_images_and_targets_alike():
    images = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 3, 2, 2)
    mixed, soft = Mixup(kind="permutation", alpha=1.0).mix(images, torch.eye(8), np.random.default_rng(0))
    torch.testing.assert_close(mixed[:, 0, 0, 0], soft @ torch.arange(8.0))


def test_mix_pairs_is_a_weighted_mean():
    x1, x2, lam = torch.randn(3, 2), torch.randn(3, 2), torch.tensor([0.1, 0.5, 0.7])
    torch.testing.assert_close(mix_pairs(x1, x2, lam), lam[:, None] * x1 + (1 - lam[:, None]) * x2)


def test_batches_that_cannot_be_mixed():
    Mixup().check_batch(1)
    Mixup(kind="type2").check_batch(2)
    with pytest.raises(UserError, match=r"5 images.*even"):
        Mixup(kind="type2").check_batch(5)
    with pytest.raises(UserError, match="batch_size"):
        Mixup(kind="permutation").check_batch(1)
