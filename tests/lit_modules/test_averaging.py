"""The average of the weights: by hand, in validation, in checkpoints, in a test afterwards, after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from assemble.runs.build import build_module
from lit_modules.averaging import WeightAverage
from tests.helpers.small_run import small_config, small_plan, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec",  # Lightning 2.6 with torch 2.14
    "ignore:.*smaller than the logging interval",
    "ignore:.*Checkpoint directory .* exists",
)


class Recorder(Callback):
    """The raw weights before training and after each step; what validation found with which weights."""

    def __init__(self) -> None:
        self.raw: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []
        self.scores: list[float] = []

    @staticmethod
    def copy(module) -> dict[str, torch.Tensor]:
        return {k: v.clone() for k, v in module.model.state_dict().items()}

    def on_train_start(self, trainer, pl_module):
        self.raw.append(self.copy(pl_module))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.raw.append(self.copy(pl_module))

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.validated.append(self.copy(pl_module))

    def on_validation_end(self, trainer, pl_module):
        if trainer.state.fn != "fit":
            return
        self.scores.append(float(trainer.callback_metrics["val/loss"]))
        assert equal(self.copy(pl_module), self.raw[-1])  # training goes on with the raw ones


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def close(a: dict[str, torch.Tensor], b: dict[str, np.ndarray]) -> bool:
    return all(np.allclose(a[k].numpy(), b[k], rtol=1e-5, atol=1e-6) for k in b)


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def own(checkpoint: dict) -> dict:
    return checkpoint["callbacks"]["WeightAverage"]


def weights(checkpoint: dict) -> dict[str, torch.Tensor]:
    return {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items()}


@pytest.mark.parametrize("every", [1, 2])
def test_by_hand_with_the_initial_weights_first_and_statistics_averaged(every, tmp_path) -> None:
    average, recorder = (
        WeightAverage(lambda update, module: 0.3 if module.global_step % every == 0 else 0.0),
        Recorder(),
    )
    trainer, module = train(small_plan(), tmp_path, [average, recorder])
    assert trainer.global_step == 6
    expected = {k: v.double().numpy() for k, v in recorder.raw[0].items()}
    at_validation = []
    for step, raw in enumerate(recorder.raw[1:], 1):
        for k, v in raw.items():
            if step % every == 0:
                mean = 0.7 * expected[k] + 0.3 * v.double().numpy()
                expected[k] = mean if v.is_floating_point() else v.numpy()
        if step % 3 == 0:
            at_validation.append(dict(expected))
    assert any("running_var" in k for k in expected)
    final = module.model.state_dict()
    assert close(final, expected)
    assert not close(recorder.raw[-1], expected)
    for found, wanted in zip((recorder.validated[0], recorder.validated[-1]), at_validation, strict=True):
        assert close(found, wanted)
    # Both kinds are in the checkpoint, and what was validated is its state_dict.
    last = load(tmp_path / "last.ckpt")
    assert equal(weights(last), final)
    assert equal(own(last)["average"], final)
    assert equal(own(last)["weights"], recorder.raw[-1])


def test_raw_weights_are_those_of_a_run_without_it() -> None:
    recorders, tricks = (Recorder(), Recorder()), {"dropblock": {"keep_prob": 0.8}}
    train(small_plan(tricks), None, [WeightAverage(lambda *_: 0.1, reestimate=True), recorders[0]])
    train(small_plan(tricks), None, [recorders[1]])
    assert all(equal(a, b) for a, b in zip(recorders[0].raw, recorders[1].raw, strict=True))
    assert not equal(recorders[0].validated[-1], recorders[1].validated[-1])


def test_not_scored_it_is_saved_only(tmp_path) -> None:
    recorder = Recorder()
    _, module = train(small_plan(), tmp_path, [WeightAverage(lambda *_: 0.1, scored=False), recorder])
    last = load(tmp_path / "last.ckpt")
    assert equal(module.model.state_dict(), recorder.raw[-1])
    assert equal(weights(last), recorder.raw[-1])
    assert equal(recorder.validated[-1], recorder.raw[-1])
    assert not equal(own(last)["average"], recorder.raw[-1])


def test_before_the_first_update_the_raw_weights_are_scored(tmp_path) -> None:
    recorder = Recorder()
    _, module = train(small_plan(), tmp_path, [WeightAverage(lambda *_: 0.0), recorder])
    assert equal(recorder.validated[-1], recorder.raw[-1])
    assert equal(module.model.state_dict(), recorder.raw[-1])


def test_what_chose_the_best_is_what_is_in_it_and_what_is_tested(tmp_path) -> None:
    """After the fit, from the checkpoint, and by model.checkpoint in a run of its own."""
    recorder = Recorder()
    plan = small_plan()
    trainer, module = train(plan, tmp_path, [WeightAverage(lambda *_: 0.1), recorder])
    for name in ("best", "last"):
        path = tmp_path / f"{name}.ckpt"
        tested = trainer.test(module, datamodule=plan.data, ckpt_path=path, verbose=False, weights_only=True)[0]
        assert equal(module.model.state_dict(), weights(load(path)))
        cfg = small_config()
        cfg.model.checkpoint = str(path)
        fresh = build_module(small_plan(cfg=cfg))
        assert equal(fresh.model.state_dict(), module.model.state_dict())
        assert trainer.test(fresh, datamodule=plan.data, verbose=False)[0] == tested
    scores = trainer.validate(fresh, datamodule=plan.data, verbose=False)[0]  # of last.ckpt
    assert scores["val/loss"] == pytest.approx(recorder.scores[1], rel=1e-6)


def test_accumulated_gradients_are_one_step() -> None:
    cfg = small_config()
    cfg.trainer.accumulate_grad_batches = 2
    calls = []
    train(small_plan(cfg=cfg), None, [WeightAverage(lambda update, module: calls.append(module.global_step) or 0.0)])
    assert calls == sorted(set(calls))


def test_small_steps_are_not_lost_in_bfloat16() -> None:
    average = WeightAverage(lambda *_: 0.001)
    layer = nn.Linear(1, 1).to(torch.bfloat16)
    nn.init.ones_(layer.weight)
    average._weights = layer.state_dict()
    average._moving = ["weight", "bias"]
    average.average = {k: torch.zeros_like(v, dtype=torch.float32) for k, v in average._weights.items()}
    for _ in range(100):
        average._update(0.001)
    assert average.average["weight"].item() == pytest.approx(1 - 0.999**100, rel=1e-4)


class KilledError(Exception):
    pass


class Kill(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise KilledError


def same(a, b) -> bool:
    """Nested tensors, bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize(
    "tricks",
    [
        {"ema": {"decay": 0.9}, "mixup": {}, "dropblock": {}},
        {"ema": {"decay": {"from": 0.5, "to": 0.9}, "every": 4, "validate": "raw"}},
        {"swa": {"start": 0.25, "low": 0.1}, "dropblock": {}},
        {"sam": {"every": 4}, "agc": {}, "dropblock": {}},
        {"ema": {}, "sam": {}, "bce": {}, "no_bias_decay": {}, "stochastic_depth": {}, "cutmix": {}},
    ],
    ids="+".join,
)
def test_killed_and_run_again_it_ends_where_it_would_have_ended(tricks, tmp_path) -> None:
    """Weights of both kinds, optimizer and all else in the checkpoint: four epochs, and two, a kill, and two more."""
    plan = small_plan(tricks, small_config(epochs=4))
    _, whole = train(plan, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(plan, tmp_path / "killed", [Kill()])
    _, resumed = train(plan, tmp_path / "killed", ckpt_path=tmp_path / "killed" / "last.ckpt")
    assert equal(whole.model.state_dict(), resumed.model.state_dict())
    expected, found = load(tmp_path / "whole" / "last.ckpt"), load(tmp_path / "killed" / "last.ckpt")
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert same(expected[key], found[key]), key
    averages = [k for k in expected["callbacks"] if k == "WeightAverage"]
    assert bool(averages) == ("ema" in tricks or "swa" in tricks)
    for key in averages:
        assert same(expected["callbacks"][key], found["callbacks"][key])
