"""EMA against timm's, TensorFlow's warm-up, and its options."""

from copy import deepcopy

import pytest
import torch
from pytorch_lightning import Callback

from assemble.errors import UserError
from tests.helpers.small_run import small_plan, train
from tricks import create
from tricks.ema import warmed_up

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)


def test_warm_up_is_tensorflows():
    """tf.train.ExponentialMovingAverage: min(decay, (1 + num_updates) / (10 + num_updates))."""
    assert [warmed_up(0.9, t) for t in (1, 2, 10, 71, 72, 1000)] == [2 / 11, 3 / 12, 11 / 20, 72 / 81, 73 / 82, 0.9]


class TimmBeside(Callback):
    """timm's average of the same weights."""

    def on_train_start(self, trainer, pl_module):
        from timm.utils import ModelEmaV3

        self.average = ModelEmaV3(deepcopy(pl_module.model), decay=0.8)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.average.update(pl_module.model)


def test_equals_timms():
    timm = TimmBeside()
    _, module = train(small_plan({"ema": {"decay": 0.8, "warmup": False}}), None, [timm])
    expected, found = timm.average.module.state_dict(), module.model.state_dict()
    assert expected.keys() == found.keys()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-6, atol=1e-7)


def share(parameters, update, step, progress=0.0):
    (trick,) = create({"ema": parameters})
    module = type("Module", (), {"global_step": step, "progress": progress})()
    return trick._share(update, module)


def test_shares():
    assert share({}, 1, 1) == pytest.approx(1 - 2 / 11)
    assert share({"warmup": False}, 1, 1) == pytest.approx(1e-4)
    assert share({"every": 32, "decay": 0.5}, 7, 31) == 0
    assert share({"every": 32, "decay": 0.5}, 70, 64) == 0.5
    assert share({"decay": {"from": 0.2, "to": 0.4}, "warmup": False}, 9, 9, 0.5) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"decay": 1.0}, "tricks.ema.decay"),
        ({"decay": -0.1}, "tricks.ema.decay"),
        ({"every": 0}, "tricks.ema.every"),
        ({"every": 7}, "more than the run's 6 steps"),
        ({"validate": "both"}, "both"),
    ],
)
def test_mistakes(parameters, says):
    with pytest.raises(UserError, match=says):
        small_plan({"ema": parameters})
