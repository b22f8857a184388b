"""What is kept of each epoch."""

from pathlib import Path

import pytest
import torch

from lit_modules.callbacks import History
from tests.helpers.small_run import small_config, small_plan, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec",
    "ignore:.*smaller than the logging interval",
    "ignore:.*exists and is not empty",
)


def test_scores_and_seconds_of_each_epoch_also_of_a_run_that_went_on(tmp_path: Path) -> None:
    first, then = History(), History()
    train(small_plan(cfg=small_config(epochs=2)), tmp_path, [first])
    trainer, _ = train(small_plan(cfg=small_config(epochs=4)), tmp_path, [then], ckpt_path=tmp_path / "last.ckpt")
    assert then.scores[:2] == first.scores
    assert then.seconds[:2] == first.seconds
    assert len(then.scores) == len(then.seconds) == 4
    assert then.scores[-1] == {
        name: pytest.approx(float(trainer.callback_metrics[f"val/{name}"])) for name in ("top1", "top5", "loss")
    }
    assert 0 < min(then.seconds) <= then.step_seconds <= max(then.seconds)
    states = torch.load(tmp_path / "best.ckpt", weights_only=True)["callbacks"].values()
    (best,) = [float(state["best_model_score"]) for state in states if "best_model_score" in state and state["monitor"]]
    assert then.best["top1"] == best
