"""Label smoothing against the official loss and by arithmetic."""

import torch

from lit_modules.losses import soft_cross_entropy
from tests.helpers import official
from tricks.label_smoothing import LabelSmoothing, smooth
from tricks.mixup import mix_pairs

V = {k.removeprefix("loss/"): v for k, v in official.values().items() if k.startswith("loss/")}


def test_official_cross_entropy():
    plain = soft_cross_entropy(V["logits"], V["soft_labels"])
    torch.testing.assert_close(plain, V["ce_ls0.0"], rtol=1e-5, atol=1e-5)
    smoothed = soft_cross_entropy(V["logits"], LabelSmoothing(0.1).targets(V["soft_labels"]))
    torch.testing.assert_close(smoothed, V["ce_ls0.1"], rtol=1e-5, atol=1e-5)
    assert (plain - smoothed).abs() > 1e-3


def test_arithmetic():
    y = smooth(torch.eye(5), 0.1)
    torch.testing.assert_close(y, torch.eye(5) * 0.9 + 0.02)
    torch.testing.assert_close(y.sum(1), torch.ones(5))
    assert torch.equal(smooth(torch.eye(5), 0.0), torch.eye(5))


def test_commutes_with_mixing():
    a, b, lam = torch.eye(5), torch.eye(5).flip(0), torch.rand(5)
    torch.testing.assert_close(mix_pairs(smooth(a, 0.1), smooth(b, 0.1), lam), smooth(mix_pairs(a, b, lam), 0.1))
