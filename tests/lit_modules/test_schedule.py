"""Learning rates by step, against the official code's and by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from assemble.errors import UserError
from assemble.planning.plan import Plan, make_plan
from assemble.schema import Config, OptimConfig
from lit_modules.classifier import Classifier
from lit_modules.schedule import Schedule
from tests.helpers import official


def test_official_learning_rates():
    """120 epochs of 1,281,167 images at batch 1024, 5 warm-up epochs, peak 0.4."""
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


PEAK, EPOCH, EPOCHS, WARMUP = 0.4, 7, 9, 2


def timms(name: str, **arguments: Any) -> list[float]:
    """Learning rates of timm's scheduler, update by update."""
    import timm.scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = getattr(timm.scheduler, name)(
        optimizer, warmup_t=EPOCH * WARMUP, warmup_lr_init=0.01, t_in_epochs=False, **arguments
    )
    rates = []
    for step in range(EPOCH * EPOCHS + 3):
        scheduler.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def ours(kind: str, **options: Any) -> list[float]:
    cfg = OptimConfig(lr=PEAK, schedule=kind, warmup_epochs=WARMUP, warmup_lr=0.01, **options)
    schedule = Schedule.of(cfg, EPOCH, EPOCHS)
    return [PEAK * schedule(step) for step in range(EPOCH * EPOCHS + 3)]


@pytest.mark.parametrize(
    ("kind", "options", "name", "arguments"),
    [
        ("cosine", {"min_lr": 0.03}, "CosineLRScheduler", {"lr_min": 0.03}),
        ("polynomial", {"min_lr": 0.03, "power": 1.5}, "PolyLRScheduler", {"lr_min": 0.03, "power": 1.5}),
        ("polynomial", {}, "PolyLRScheduler", {"power": 2.0}),
        ("linear", {"min_lr": 0.03}, "PolyLRScheduler", {"lr_min": 0.03, "power": 1.0}),
    ],
)
def test_decays_over_what_the_warm_up_leaves_are_timms(kind, options, name, arguments):
    steps = EPOCH * (EPOCHS - WARMUP)
    assert ours(kind, **options) == pytest.approx(timms(name, t_initial=steps, warmup_prefix=True, **arguments))


def test_exponential_steps_are_timms():
    """Counted from the beginning of the run, as in the official EfficientNet code."""
    expected = timms("StepLRScheduler", decay_t=2.4 * EPOCH, decay_rate=0.97, warmup_prefix=False)
    assert ours("exponential") == pytest.approx(expected)
    assert ours("exponential", gamma=0.5) != pytest.approx(expected)
    assert min(ours("exponential", gamma=0.1, min_lr=0.03)[EPOCH * WARMUP :]) == pytest.approx(0.03)


def test_smooth_exponential_meets_the_stairs():
    stairs = Schedule("exponential", 10, 100, decay_epochs=2.5)
    smooth = Schedule("exponential", 10, 100, decay_epochs=2.5, staircase=False)
    assert [smooth(s) for s in (0, 25, 100)] == pytest.approx([1, 0.97, 0.97**4])
    assert [stairs(s) for s in (24, 25, 49, 50)] == pytest.approx([1, 0.97, 0.97, 0.97**2])
    assert smooth(5) == pytest.approx(0.97**0.2)


def test_each_decay_has_its_usual_factor():
    assert Schedule("step", 10, 100, 0, (30,))(301) == pytest.approx(0.1)
    assert Schedule("exponential", 10, 100)(24) == pytest.approx(0.97)


# --- the schedule of a run


def plan(batch: int, **trainer: Any) -> Plan:
    cfg = Config()
    cfg.data.image_size, cfg.data.batch_size = 16, batch
    for name, value in trainer.items():
        setattr(cfg.trainer, name, value)
    return make_plan(cfg, [])


@pytest.mark.parametrize("batch", [700, 400, 64, 32])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_few_steps_an_epoch_end_where_the_decay_ends(batch, share):
    """1,197 digits by 700 are 1.71 steps an epoch, of which one is taken: the cosine must not stop half-way."""
    run = plan(batch, limit_train_batches=share)
    steps = 15 * (run.steps_per_epoch or 0)
    assert run.schedule.total_steps == steps
    left = steps - run.schedule.warmup_steps
    assert run.schedule(steps - 1) == pytest.approx(0.5 * (1 + math.cos(math.pi * (left - 1) / left)))


def test_many_steps_an_epoch_are_counted_as_the_official_code_does():
    run = plan(64, max_epochs=600)
    run.cfg.data.batch_size = 1024
    data = cast(Any, SimpleNamespace(train_size=1_281_167, steps_per_epoch=lambda devices: 1251))
    imagenet = replace(run, data=data, batch=replace(run.batch, total=1024))
    assert imagenet.schedule.total_steps == 750_683
    assert 600 * (imagenet.steps_per_epoch or 0) == 750_683 - 83


def test_mistakes():
    with pytest.raises(UserError, match=r"optim\.schedule 'cosin'.*'cosine'"):
        Schedule("cosin", 4, 3)
    for warmup in (4, -1):
        with pytest.raises(UserError, match=r"optim\.warmup_epochs"):
            Schedule("cosine", 4, 3, warmup)
