"""What goes to Lightning's Trainer as it is given, and what is refused."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.profilers import SimpleProfiler

from assemble.errors import UserError
from assemble.planning.plan import make_plan
from assemble.runs.build import build_trainer
from assemble.schema import Config
from lit_modules.trainer_arguments import FIXED, OWNED, check_arguments, own_callbacks, with_profile
from tests.helpers.composing import composed
from tests.helpers.small_run import small_config

EARLY = "pytorch_lightning.callbacks.EarlyStopping"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_epochs": 3}, "trainer.args.max_epochs is set by trainer.max_epochs"),
        ({"check_val_every_n_epoch": 3}, "is set by trainer.val_every_epochs"),
        ({"num_sanity_val_steps": 2}, "cannot be changed"),
        ({"profler": "simple"}, "Did you mean 'trainer.args.profiler'"),
        ({"profiler": "simpel"}, "Did you mean 'simple'"),
        ({"limit_val_batches": 0}, "nothing to score"),
    ],
)
def test_keywords_that_are_not_for_the_user(given: dict[str, Any], message: str) -> None:
    cfg = Config()
    cfg.trainer.args = given
    with pytest.raises(UserError, match=message):
        make_plan(cfg, [])


def test_every_keyword_of_ours_is_lightnings_and_every_key_exists() -> None:
    assert {*OWNED, *FIXED} <= inspect.signature(Trainer).parameters.keys()
    fields = vars(Config().trainer)
    assert {key.removeprefix("trainer.") for key in OWNED.values() if key.startswith("trainer.")} <= fields.keys()


def test_other_keywords_reach_the_trainer(tmp_path: Path) -> None:
    cfg = Config()
    cfg.trainer.accelerator, cfg.trainer.args = "cpu", {"gradient_clip_algorithm": "value", "profiler": "simple"}
    check_arguments(cfg.trainer.args)
    trainer = build_trainer(cfg.trainer, **with_profile(cfg.trainer.args, tmp_path), logger=False)
    assert trainer.gradient_clip_algorithm == "value"
    assert isinstance(trainer.profiler, SimpleProfiler)  # type: ignore[attr-defined]
    assert trainer.profiler.dirpath == tmp_path  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "has no class"),
        ({"_target_": "pytorch_lightning.callbacks.EarlyStoping"}, "has no 'EarlyStoping'"),
        ({"_target_": "assemble.paths.title"}, "is no callback"),
        ({"_target_": "subprocess.run", "args": "ls"}, "Python's own"),
        ({"_target_": EARLY, "monitor": "val/top1", "patienc": 3}, "patienc"),
    ],
)
def test_only_callbacks_are_taken(settings: dict[str, Any], message: str) -> None:
    cfg = Config()
    cfg.callbacks = {"mine": settings}
    with pytest.raises(UserError, match=message):
        make_plan(cfg, [])


def test_what_the_class_refuses_is_told_in_one_line() -> None:
    wrong = {"_target_": EARLY, "monitor": "val/top1", "mode": "up"}
    with pytest.raises(UserError, match=r"callbacks\.mine\._target_=.*mode"):
        own_callbacks({"mine": wrong})[0]()


def test_the_score_that_ends_a_training_is_known_before_it() -> None:
    line = "callbacks.early_stopping.monitor: unknown score 'val/top2'. Did you mean 'val/top1'? Available: val/top1, "
    with pytest.raises(UserError, match=re.escape(line)):
        own_callbacks(composed("callbacks=[early_stopping]", "callbacks.early_stopping.monitor=val/top2").callbacks)
    (make,) = own_callbacks({"mine": {"_target_": EARLY, "monitor": "mine", "strict": False}})
    assert getattr(make(), "monitor") == "mine"  # noqa: B009


def test_early_stopping_is_chosen_by_name() -> None:
    cfg = composed("callbacks=[early_stopping]", "callbacks.early_stopping.patience=3")
    (make,) = own_callbacks(cfg.callbacks)
    callback = make()
    assert isinstance(callback, EarlyStopping)
    assert (callback.monitor, callback.mode, callback.patience) == ("val/top1", "max", 3)


def test_the_steps_of_an_epoch() -> None:
    """37 steps of 32 images: all, a share of them, so many of them."""
    steps = []
    for limit, overfit in ((1.0, None), (0.5, None), (1, None), (5, None), (1000, None), (1.0, 2)):
        cfg = small_config()
        cfg.trainer.limit_train_batches, cfg.trainer.overfit_batches = limit, overfit
        steps.append(make_plan(cfg, []).steps_per_epoch)
    assert steps == [37, 18, 1, 5, 37, 2]


def test_the_schedule_spans_max_steps() -> None:
    cfg = small_config()
    cfg.trainer.limit_train_batches, cfg.trainer.max_steps, cfg.optim.warmup_epochs = 1.0, 50, 1.0
    plan = make_plan(cfg, [])
    assert (plan.schedule.total_steps, plan.cfg.trainer.max_epochs) == (50, 2)
    assert plan.data is not None
    assert plan.data.train_set.epochs == 2
    assert plan.schedule(49) > 0 == plan.schedule(50)
    cfg.optim.warmup_epochs = 2.0
    with pytest.raises(UserError, match=r"does not fit into trainer\.max_steps=50"):
        make_plan(cfg, [])


def test_a_share_is_none_above_all() -> None:
    cfg = small_config()
    cfg.trainer.limit_train_batches = 1.5
    with pytest.raises(UserError, match=r"trainer\.limit_train_batches=1\.5 must be a share"):
        make_plan(cfg, [])


@pytest.mark.parametrize("name", ["one_batch", "overfit", "profiler", "anomaly"])
def test_debugging_wins_over_a_recipe(name: str) -> None:
    cfg = composed("recipe=assemble_e06", f"debug={name}")
    plain = composed("recipe=assemble_e06")
    assert cfg.trainer != plain.trainer
    check_arguments(cfg.trainer.args)
