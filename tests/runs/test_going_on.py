"""What a run may go on from, and which run beside it was perhaps meant."""

from pathlib import Path
from typing import Any

import pytest

from assemble.errors import UserError
from assemble.runs.going_on import check_same_run, near_matches
from assemble.runs.result import yaml_text
from tests.helpers.small_run import small_config, small_plan


def checkpoint(**about: Any) -> dict[str, Any]:
    plan = small_plan()
    assert plan.data
    known = {"data": plan.data.identity.digest, "micro_batch": 32, **about}
    return {"about": known, "config": {"classes": [str(i) for i in range(9)] + ["ten"]}}


def test_the_same_run_goes_on():
    check_same_run(checkpoint(), small_plan(), Path("last.ckpt"))
    check_same_run({}, small_plan(), Path("last.ckpt"))  # of an earlier version


def test_other_data_is_refused_with_what_changed():
    with pytest.raises(UserError, match=r"last\.ckpt was trained on \(classes gone: ten, new: 9\): put it back"):
        check_same_run(checkpoint(data="another"), small_plan(), Path("last.ckpt"))


def test_batch_norm_that_would_see_other_batches_is_asked_for():
    cfg = small_config()
    cfg.trainer.accumulate_grad_batches = 2
    with pytest.raises(UserError, match=r"micro-batches of 32 images, and batch norm would now see 16"):
        check_same_run(checkpoint(), small_plan(cfg=cfg), Path("last.ckpt"))
    cfg.trainer.allow_other_micro_batch = True
    check_same_run(checkpoint(), small_plan(cfg=cfg), Path("last.ckpt"))


def test_a_run_that_differs_in_little_is_named(tmp_path: Path):
    config = {"optim": {"lr": 0.1, "momentum": 0.9, "power": 2}, "data": {"root": "a"}, "tricks": {}, "output_dir": "r"}
    near = {**config, "optim": {**config["optim"], "lr": 0.2}, "data": {"root": "b"}}
    far = {**config, "optim": {"lr": 1, "momentum": 0, "power": 3}}
    for name, content in (("a-s0-1", config), ("a-s0-2", near), ("a-s0-3", far), ("a-s1-4", near), ("b-s0-5", near)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(yaml_text(content))
    (tmp_path / "a-s0-6").mkdir()
    (tmp_path / "a-s0-6" / "config.yaml").write_text("[")
    assert near_matches(config, tmp_path / "a-s0-1") == [f"{tmp_path / 'a-s0-2'} differs only in optim.lr"]
