"""Learning rates by step, against the official code's and by hand."""

import math

import official
import pytest
import torch

from conf.schema import OptimConfig
from core.errors import UserError
from lit_modules.classifier import Classifier
from lit_modules.schedule import Schedule


def test_official_learning_rates():
    """120 epochs of 1,281,167 pictures at batch 1024, 5 warm-up epochs, peak 0.4."""
    schedule = Schedule("cosine", 1_281_167 / 1024, 120, 5)
    assert (schedule.warmup_steps, schedule.total_steps) == (6255, 150_136)
    for step, expected in official.load("schedules")["lr"].items():
        assert 0.4 * schedule(int(step)) == pytest.approx(expected, abs=1e-7), step


@pytest.mark.parametrize(("epochs", "steps"), [(120, 150_136), (200, 250_227), (270, 337_807), (600, 750_683)])
def test_published_numbers_of_steps(epochs, steps):
    assert Schedule("cosine", 1_281_167 / 1024, epochs).total_steps == steps


def test_the_optimizer_gets_it():
    module = Classifier(
        torch.nn.Linear(2, 3), num_classes=3, optim=OptimConfig(lr=0.4), schedule=Schedule("cosine", 4, 3, 1)
    )
    setup = module.configure_optimizers()
    optimizer, scheduler = setup["optimizer"], setup["lr_scheduler"]["scheduler"]
    assert setup["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(13):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    by_hand = [0, 0.1, 0.2, 0.3] + [0.2 * (1 + math.cos(math.pi * i / 8)) for i in range(9)]
    assert rates == pytest.approx(by_hand, abs=1e-12)


def test_step_boundaries_belong_to_the_interval_before():
    schedule = Schedule("step", 10, 100, 5, (30, 60, 90), 0.1)
    at = {25: 0.5, 50: 1, 300: 1, 301: 0.1, 600: 0.1, 601: 0.01, 900: 0.01, 901: 0.001}
    assert {step: schedule(step) for step in at} == pytest.approx(at)


def test_constant_after_warm_up_and_no_warm_up():
    assert [Schedule("constant", 4, 3, 1)(s) for s in (0, 2, 4, 100)] == [0, 0.5, 1, 1]
    assert Schedule("cosine", 4, 3)(0) == 1
    assert Schedule("cosine", 4, 3)(12) == pytest.approx(0, abs=1e-12)
    assert Schedule("cosine", 4, 3)(1000) == pytest.approx(0, abs=1e-12)
    assert Schedule("cosine", 4, 1, 1)(4) == 1  # all warm-up: the step after the last divides by nothing


def test_mistakes():
    with pytest.raises(UserError, match=r"optim\.schedule 'cosin'.*'cosine'"):
        Schedule("cosin", 4, 3)
    for warmup in (4, -1):
        with pytest.raises(UserError, match=r"optim\.warmup_epochs"):
            Schedule("cosine", 4, 3, warmup)
