"""Strengths that move: one design for every trick."""

import numpy as np
import pytest
import torch
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from tricks import create, load
from tricks.base import ModelTrick, Ramp

load()


@pytest.mark.parametrize(
    ("ramp", "values"),
    [
        (Ramp(0.0, 0.2), {0.0: 0.0, 0.25: 0.05, 0.5: 0.1, 1.0: 0.2}),
        (Ramp(1.0, 0.5, begin=0.4, finish=0.8), {0.0: 1.0, 0.4: 1.0, 0.6: 0.75, 0.8: 0.5, 1.0: 0.5}),
        # (0.5 - 0.2) / (0.8 - 0.2) is a little below a half in floating point
        (Ramp(0, 1, 0.2, 0.8, stages=2), {0.49: 0, 0.5: 1, 0.8: 1}),
        # four stages of EfficientNetV2-S: 128 to 300 pixels in equal steps
        (Ramp(128, 300, stages=4), {0.0: 128, 0.24: 128, 0.25: 128 + 172 / 3, 0.6: 128 + 344 / 3, 0.75: 300, 1.0: 300}),
    ],
)
def test_ramp(ramp, values):
    for progress, value in values.items():
        assert ramp.at(progress) == pytest.approx(value), progress


def test_a_trick_at_a_moment_has_plain_numbers_and_the_trick_keeps_its_ramp():
    (trick,) = create({"mixup": {"alpha": {"from": 0, "to": 0.2}}})
    assert trick.alpha == Ramp(0, 0.2)
    assert trick.at(0.5).alpha == pytest.approx(0.1)
    assert trick.alpha == Ramp(0, 0.2)
    (constant,) = create(["mixup"])
    assert constant.at(0.5) is constant


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("much", "tricks.mixup.alpha: 'much' is not a number"),
        (None, "is not a number"),
        (True, "is not a number"),
        (float("nan"), "is not a number"),
        ({"from": 0}, "both ends"),
        ({"from": 0, "too": 1}, "unknown key of tricks.mixup.alpha 'too'. Did you mean 'to'"),
        ({"from": 0, "to": "x"}, "tricks.mixup.alpha.to: 'x' is not a number"),
        ({"from": 0, "to": 1, "begin": 0.5, "end": 0.5}, "rising shares"),
        ({"from": 0, "to": 1, "stages": 1.5}, "whole number"),
        ({"from": 0, "to": -1}, "must be at least 0"),
        ({"from": 0, "to": 0}, "does nothing"),
        (0, "does nothing"),
    ],
)
def test_mistakes(value, says):
    with pytest.raises(UserError, match=says):
        create({"mixup": {"alpha": value}})


@pytest.mark.parametrize("name", [n for n, t in load().items() if issubclass(t, ModelTrick)])
def test_a_live_network_takes_what_a_built_one_has(name):
    """A network built with a strength, and one built with another and then updated, act alike."""
    from dataclasses import fields

    (trick,) = create([name])
    for field in (f for f in fields(trick) if f.metadata.get("strength")):
        outputs = []
        for first, then in ((0.4, None), (0.7, 0.4)):
            torch.manual_seed(0)
            model = create_model("resnet50", {name: {field.name: first}}, num_classes=5, width=8)
            if then:
                (moment,) = create({name: {field.name: then}})
                moment.update(model)
            torch.manual_seed(1)
            outputs.append(model(torch.ones(4, 3, 64, 64)))
        assert torch.equal(*outputs), field.name


def test_a_moving_strength_of_a_batch_trick_reaches_its_step():
    from assemble.schema import OptimConfig
    from lit_modules.classifier import Classifier
    from lit_modules.schedule import Schedule

    module = Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(48, 2)),
        num_classes=2,
        optim=OptimConfig(),
        schedule=Schedule("constant", 1, 1),
        batch_tricks=create({"mixup": {"alpha": {"from": 0, "to": 1}, "kind": "permutation"}}),
    )
    images, targets = torch.randn(6, 3, 4, 4), torch.eye(2).repeat(3, 1)
    plain = Classifier(module.model, num_classes=2, optim=OptimConfig(), schedule=module.schedule)

    def loss(of: Classifier, progress: float) -> float:
        return of.training_loss(images, targets, torch.arange(6), np.random.default_rng(0), progress).item()

    assert loss(module, 0.0) == pytest.approx(loss(plain, 0.0))
    assert loss(module, 0.5) != pytest.approx(loss(plain, 0.5))
    assert loss(module, 0.5) != pytest.approx(loss(module, 1.0))
