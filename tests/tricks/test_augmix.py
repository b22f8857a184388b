"""AugMix against the official code's mixtures (tests/reference/README.md), limiting cases, and its loss by hand."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import official
from tricks.augmix import ALL, BOTH_WAYS, OPERATIONS, AugMix, draw_chain, jensen_shannon, mix_chains

V = np.load(official.REFERENCE / "augmix.npz")
CASES = json.loads(str(V["cases"]))
IMAGE = V["picture"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- mixtures


@pytest.mark.parametrize("number", range(len(CASES)))
def test_official_mixtures(number):
    """The official result is not rounded."""
    case, expected = CASES[number], V["mixed"][number]
    mixed = mix_chains(IMAGE, case["chains"], np.array(case["weights"]), case["share"])
    assert mixed.dtype == np.uint8
    assert np.abs(mixed - expected).max() < 0.5 + 1e-3


def test_the_reference_has_every_operation_and_both_ways():
    drawn = [tuple(op) for case in CASES for chain in case["chains"] for op in chain]
    assert {name for name, _ in drawn} == set(ALL)
    for name in BOTH_WAYS:
        assert {math.copysign(1, level) for n, level in drawn if n == name} == {-1, 1}


@pytest.mark.parametrize("name", ALL)
def test_with_one_chain_of_one_operation_and_all_the_share_the_mixture_is_the_operation(name):
    expected = np.asarray(ALL[name](Image.fromarray(IMAGE), 6.0))
    assert np.array_equal(mix_chains(IMAGE, [[(name, 6.0)]], np.ones(1), 1.0), expected)
    assert not np.array_equal(expected, IMAGE)


def test_with_no_share_the_mixture_is_the_image():
    assert np.array_equal(mix_chains(IMAGE, [[("solarize", 10.0)]] * 2, np.array([0.5, 0.5]), 0.0), IMAGE)


def test_translations_by_hand():
    """A third of the side at level 10, towards left and top; black comes in."""
    for name, axis in (("translate_x", 1), ("translate_y", 0)):
        moved = mix_chains(IMAGE, [[(name, 10.0)]], np.ones(1), 1.0)
        assert np.array_equal(moved.take(range(11), axis), IMAGE.take(range(5, 16), axis))
        assert not moved.take(range(11, 16), axis).any()


# --- draws


def test_chains_are_drawn_as_officially():
    n, severity = 3000, 4.0
    g = rng()
    chains = [draw_chain(list(OPERATIONS), severity, -1, g) for _ in range(n)]
    lengths = np.bincount([len(chain) for chain in chains], minlength=4)
    assert lengths[0] == 0
    assert np.abs(lengths[1:] - n / 3).max() < 5 * math.sqrt(n * 2 / 9)
    names, levels = zip(*(op for chain in chains for op in chain), strict=True)
    share = len(names) / len(OPERATIONS)
    assert all(abs(names.count(name) - share) < 5 * math.sqrt(share) for name in OPERATIONS)
    sizes = np.abs(levels)
    assert 0.1 <= sizes.min() < 0.11
    assert severity - 0.01 < sizes.max() <= severity
    assert abs(sizes.mean() - (severity + 0.1) / 2) < 5 * severity / math.sqrt(12 * len(sizes))
    negative = {name for name, level in zip(names, levels, strict=True) if level < 0}
    assert negative == set(BOTH_WAYS)
    moved = [level for name, level in zip(names, levels, strict=True) if name in BOTH_WAYS]
    assert abs(np.mean(np.less(moved, 0)) - 0.5) < 5 * 0.5 / math.sqrt(len(moved))
    assert {len(draw_chain(list(OPERATIONS), 3.0, 2, g)) for _ in range(9)} == {2}


def test_operations_close_to_the_corruptions_are_drawn_only_on_request(monkeypatch):
    seen: set[str] = set()
    monkeypatch.setattr(
        "tricks.augmix.mix_chains", lambda p, chains, w, s: seen.update(n for c in chains for n, _ in c)
    )
    for all_ops, expected in ((False, set(OPERATIONS)), (True, set(ALL))):
        seen.clear()
        for seed in range(100):
            AugMix(all_ops=all_ops).mixture(IMAGE, rng(seed))
        assert seen == expected


def test_the_image_and_two_mixtures_or_one():
    trick = AugMix()
    views = trick.augment(IMAGE, rng())
    assert views.shape == (3, *IMAGE.shape)
    assert trick.views == 3
    assert np.array_equal(views[0], IMAGE)
    assert len({view.tobytes() for view in views}) == 3
    alone = AugMix(jsd=0.0)
    assert alone.views == 1
    assert alone.augment(IMAGE, rng()).shape == IMAGE.shape
    assert alone.term(torch.randn(1, 4, 5), None) is None


def test_everything_follows_from_the_images_own_generator():
    np.random.seed(1)
    first = AugMix().augment(IMAGE, rng(3))
    np.random.seed(2)
    assert np.array_equal(AugMix().augment(IMAGE, rng(3)), first)
    assert not np.array_equal(AugMix().augment(IMAGE, rng(4)), first)
    assert np.array_equal(AugMix().augment(IMAGE[:, ::-1][:, ::-1], rng(3)), first), "any memory layout"


# --- the loss


def test_equal_views_do_not_diverge():
    logits = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(0)).expand(3, 6, 5)
    assert abs(float(jensen_shannon(logits))) < 1e-6


def test_divergence_by_hand():
    """Views that are sure of three different classes: log 3 each; and one image of another kind, in NumPy."""
    sure = 50 * torch.eye(3).unsqueeze(1)  # (3, 1, 3)
    assert float(jensen_shannon(sure)) == pytest.approx(math.log(3), abs=1e-6)
    p = np.array([[[0.7, 0.3], [0.5, 0.5]], [[0.2, 0.8], [0.5, 0.5]], [[0.6, 0.4], [0.9, 0.1]]])
    m = p.mean(0)
    by_image = (p * np.log(p / m)).sum(-1).mean(0)
    logits = torch.from_numpy(p).log() + 3.0
    assert float(jensen_shannon(logits)) == pytest.approx(by_image.mean(), rel=1e-9)
    assert float(AugMix(jsd=4.0).term(logits, None)) == pytest.approx(4 * by_image.mean(), rel=1e-9)


def test_as_written_in_the_official_code():
    clean, first, second = torch.randn(3, 8, 10, generator=torch.Generator().manual_seed(1)) * 8
    kl = torch.nn.functional.kl_div
    p = [view.softmax(1) for view in (clean, first, second)]
    mixture = torch.clamp(sum(p) / 3, 1e-7, 1).log()
    expected = 12 * sum(kl(mixture, q, reduction="batchmean") for q in p) / 3
    torch.testing.assert_close(AugMix().term(torch.stack([clean, first, second]), None), expected)


@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 0, 0]])
def test_sure_predictions_have_a_finite_loss_and_gradient(classes):
    """Probabilities that are 0 in float32, in some views or in all."""
    logits = (1e3 * torch.eye(3)[classes].unsqueeze(1)).requires_grad_()
    loss = jensen_shannon(logits)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(len(set(classes))), abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
