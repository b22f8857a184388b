"""Which batch trick acts: shares as given, even ones without, and what they leave open stays unmixed."""

import numpy as np
import pytest
import torch

from lit_modules.turns import turn
from tricks.cutmix import CutMix
from tricks.mixup import Mixup


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1.0, 1.0], [0.5, 0.5]),
        ([0.3, 0.7], [0.3, 0.7]),
        ([0.5, 1.0], [1 / 3, 2 / 3]),
        ([0.2, 0.2], [0.2, 0.2]),
        ([0.4], [0.4]),
        ([1.0], [1.0]),
        ([], []),
    ],
)
def test_shares(shares, expected):
    tricks = [kind(share=share) for kind, share in zip([Mixup, CutMix], shares, strict=False)]
    rng, count = np.random.default_rng(0), 4000
    drawn = [turn(tricks, rng) for _ in range(count)]
    for trick, share in zip(tricks, expected, strict=True):
        assert drawn.count(trick) / count == pytest.approx(share, abs=0.03)
    assert drawn.count(None) / count == pytest.approx(1 - sum(expected), abs=0.03)


def test_a_share_that_moves():
    tricks = [Mixup(share={"from": 0, "to": 1})]
    rng = np.random.default_rng(0)
    assert not any(turn([trick.at(0.0) for trick in tricks], rng) for _ in range(20))
    assert all(turn([trick.at(1.0) for trick in tricks], rng) for _ in range(20))
    assert 60 < sum(turn([trick.at(0.5) for trick in tricks], rng) is not None for _ in range(200)) < 140


def test_a_batch_that_is_not_mixed_is_its_first_half(classifier_that_keeps):
    """Type 1 draws two images for each that the network sees."""
    images, targets = torch.randn(4, 3, 2, 2), torch.eye(4)
    seen = classifier_that_keeps({"mixup": {"share": {"from": 0, "to": 1}}}, images, targets)
    assert torch.equal(seen[0], images[:2])
    assert torch.equal(seen[1], targets[:2])


@pytest.fixture
def classifier_that_keeps():
    from assemble.schema import OptimConfig
    from lit_modules.classifier import Classifier
    from lit_modules.schedule import Schedule
    from tricks import create

    def inputs(tricks, images, targets):
        module = Classifier(
            torch.nn.Identity(),
            num_classes=4,
            optim=OptimConfig(),
            schedule=Schedule.of(OptimConfig(), 2, 2),
            batch_tricks=create(tricks),
        )
        return module.inputs(images, targets, torch.arange(4), np.random.default_rng(0), 0.0)

    return inputs
