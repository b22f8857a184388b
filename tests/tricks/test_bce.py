"""Binary cross-entropy by hand and against timm's."""

import math

import pytest
import torch

from assemble.errors import UserError
from tricks import create
from tricks.bce import Reduction, binary_cross_entropy
from tricks.label_smoothing import smooth


def test_by_hand():
    logits, targets = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.25]])
    classes = [math.log(2), -0.25 * math.log(3 / 4) - 0.75 * math.log(1 / 4)]
    assert binary_cross_entropy(logits, targets).item() == pytest.approx(sum(classes) / 2)
    assert binary_cross_entropy(logits, targets, Reduction.sum).item() == pytest.approx(sum(classes))
    binary = [math.log(2), -math.log(1 / 4)]
    assert binary_cross_entropy(logits, targets, threshold=0.3).item() == pytest.approx(sum(binary) / 2)


@pytest.mark.parametrize("threshold", [None, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_equals_timms_on_smoothed_and_mixed_targets(reduction, threshold):
    from timm.loss import BinaryCrossEntropy

    g = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(6, 5, generator=g)
    lam = torch.rand(6, 1, generator=g)
    onehot = torch.eye(5)[torch.arange(6) % 5]
    targets = smooth(lam * onehot + (1 - lam) * onehot.flip(0), 0.1)
    (trick,) = create({"bce": {"reduction": reduction, "threshold": threshold}})
    timm = BinaryCrossEntropy(target_threshold=threshold)
    expected = timm(logits, targets) * (5 if reduction == "sum" else 1)  # older timm knows no sum
    torch.testing.assert_close(trick.loss(logits, targets), expected)
    # timm's one-hot targets smoothed by itself are those of label smoothing
    labels = torch.arange(6) % 5
    torch.testing.assert_close(
        binary_cross_entropy(logits, smooth(onehot, 0.1)), BinaryCrossEntropy(smoothing=0.1)(logits, labels)
    )


def test_the_gradient_is_the_error_of_each_sigmoid():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    targets = torch.eye(4)[:3]
    binary_cross_entropy(logits, targets).backward()
    torch.testing.assert_close(logits.grad, (logits.detach().sigmoid() - targets) / 12)


@pytest.mark.parametrize("parameters", [{"threshold": 0.0}, {"threshold": 1.0}, {"reduction": "max"}])
def test_mistakes(parameters):
    with pytest.raises(UserError, match="bce"):
        create({"bce": parameters})
