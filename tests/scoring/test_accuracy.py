"""Accuracy and calibration against hand-computed cases and torchmetrics."""

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from assemble.scoring.accuracy import score


def given(probabilities: torch.Tensor):
    """A network that answers image i, whose values are i, with these probabilities (N, K)."""
    return lambda images: probabilities.log()[images[:, 0, 0, 0].long()]


def batches(labels: torch.Tensor, size: int):
    images = torch.arange(len(labels)).float()[:, None, None, None].expand(-1, 3, 1, 1)
    return list(zip(images.split(size), labels.split(size), strict=True))


def certain(confidence: float, predicted: int, classes: int = 3) -> list[float]:
    row = [(1 - confidence) / (classes - 1)] * classes
    row[predicted] = confidence
    return row


def test_calibration_by_hand():
    """Four confident answers of which two are right, six unsure ones of which three are right."""
    probabilities = torch.tensor([certain(0.97, 0)] * 4 + [certain(0.53, 1)] * 6)
    labels = torch.tensor([0, 0, 1, 2, 1, 1, 1, 0, 0, 2])
    found = score(given(probabilities), batches(labels, 4), 3).metrics
    expected = 0.4 * abs(0.97 - 0.5) + 0.6 * abs(0.53 - 0.5)
    assert found["ece"] == pytest.approx(100 * expected, abs=1e-3)
    assert found["ece_10"] == pytest.approx(100 * expected, abs=1e-3)
    assert found["top1"] == pytest.approx(50)


def test_the_number_of_bins_counts():
    """0.82 and 0.87 share the ninth of 10 bins, and lie in the 13th and 14th of 15."""
    probabilities = torch.tensor([certain(0.82, 0)] * 2 + [certain(0.87, 1)] * 2)
    found = score(given(probabilities), batches(torch.tensor([0, 0, 0, 0]), 2), 3).metrics
    assert found["ece_10"] == pytest.approx(100 * abs((0.82 + 0.87) / 2 - 0.5), abs=1e-3)
    assert found["ece"] == pytest.approx(100 * (0.5 * (1 - 0.82) + 0.5 * 0.87), abs=1e-3)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_calibration_is_torchmetrics_whatever_the_batches(size):
    probabilities = (2 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))).softmax(1)
    labels = torch.randint(0, 6, (50,), generator=torch.Generator().manual_seed(1))
    found = score(given(probabilities), batches(labels, size), 6).metrics
    for key, bins in (("ece", 15), ("ece_10", 10)):
        expected = multiclass_calibration_error(probabilities, labels, 6, n_bins=bins)
        assert found[key] == pytest.approx(100 * float(expected), abs=1e-3)


def test_accuracy_loss_and_confusions():
    probabilities = torch.tensor([[0.7, 0.1, 0.1, 0.1, 0.0, 0.0], [0.1, 0.2, 0.3, 0.15, 0.15, 0.1]]) + 1e-9
    found = score(given(probabilities), batches(torch.tensor([5, 1]), 2), 6)
    assert found.metrics["top1"] == 0
    assert found.metrics["top5"] == 50
    assert found.confusion.sum() == 2
    assert found.confusion[5, 0] == 1
    assert found.confusion[1, 2] == 1
    right = score(given(probabilities), batches(torch.tensor([0, 2]), 1), 6)
    assert right.metrics["top1"] == 100
    assert right.metrics["loss"] == pytest.approx(-(torch.tensor([0.7, 0.3]).log().mean().item()), abs=1e-5)
    assert right.confusion[0, 0] == right.confusion[2, 2] == 1


def test_labels_begin_after_the_background_class():
    probabilities = torch.tensor([certain(0.9, 1), certain(0.9, 2)])
    assert score(given(probabilities), batches(torch.tensor([0, 1]), 2), 3, offset=1).metrics["top1"] == 100
    assert score(given(probabilities), batches(torch.tensor([0, 1]), 2), 3).metrics["top1"] == 0


def test_small_logits_are_no_probabilities():
    """All in [0, 1], which torchmetrics would take for probabilities."""
    found = score(lambda images: torch.zeros(len(images), 4), batches(torch.zeros(8, dtype=torch.long), 4), 4)
    assert found.metrics["ece"] == pytest.approx(100 * (1 - 1 / 4), abs=1e-3)
