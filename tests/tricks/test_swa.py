"""SWA by hand: when, at which learning rate, the mean, and batch norm's statistics."""

from itertools import islice

import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from assemble.errors import UserError
from assemble.runs.build import build_module
from tests.helpers.small_run import small_config, small_plan, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)


class Recorder(Callback):
    """Learning rate of every step, weights after every epoch."""

    def __init__(self):
        self.rates, self.weights = [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer, pl_module):
        self.weights.append({k: v.clone() for k, v in pl_module.model.state_dict().items()})


def run(parameters, epochs=4):
    recorder = Recorder()
    plan = small_plan({"swa": parameters}, small_config(epochs))
    _, module = train(plan, None, [recorder])
    return plan, module, recorder


def test_the_mean_of_the_last_weights_with_statistics_of_its_own():
    plan, module, recorder = run({"start": 0.5})
    final = module.model.state_dict()
    for name, parameter in module.model.named_parameters():
        mean = (recorder.weights[2][name].double() + recorder.weights[3][name].double()) / 2
        torch.testing.assert_close(parameter.detach().double(), mean, rtol=1e-6, atol=1e-7)

    # The mean over the last epoch's batches of what the first and a later batch norm see in training mode.
    fresh = build_module(small_plan(cfg=small_config(4)))
    fresh.model.load_state_dict(final)
    loader = plan.data.train_dataloader()
    loader.sampler.set_epoch(3)
    names = [n for n, m in fresh.model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    for name in (names[0], names[-1]):
        seen = []
        hook = fresh.model.get_submodule(name).register_forward_pre_hook(
            lambda m, args, seen=seen: seen.append(args[0].detach().double().transpose(0, 1).flatten(1))
        )
        fresh.train()
        with torch.no_grad():
            for images, *_ in islice(loader, 3):
                fresh(images)
        hook.remove()
        loader.sampler.set_epoch(3)
        mean = torch.stack([x.mean(1) for x in seen]).mean(0)
        variance = torch.stack([x.var(1) for x in seen]).mean(0)
        torch.testing.assert_close(final[f"{name}.running_mean"].double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(final[f"{name}.running_var"].double(), variance, rtol=1e-4, atol=1e-5)


def test_the_learning_rate_is_constant_from_the_start_on():
    _, _, recorder = run({"start": 0.5, "lr": 0.3})
    _, plain = train(small_plan(cfg=small_config(4)))
    schedule = plain.schedule
    assert recorder.rates[:6] == pytest.approx([0.1 * schedule(step) for step in range(6)])
    assert recorder.rates[6:] == pytest.approx([0.03] * 6)


def test_cycles_by_the_papers_formula():
    """alpha(i) = (1 - t) alpha1 + t alpha2, t = (mod(i - 1, c) + 1) / c, i from 1; c = 2 epochs of 3 steps."""
    _, module, recorder = run({"start": 0.34, "lr": 0.5, "low": 0.1, "every": 2}, epochs=6)
    ts = [((i - 1) % 6 + 1) / 6 for i in range(1, 13)]
    assert recorder.rates[6:] == pytest.approx([(1 - t) * 0.05 + t * 0.01 for t in ts])
    for name, parameter in module.model.named_parameters():
        mean = (recorder.weights[3][name].double() + recorder.weights[5][name].double()) / 2
        torch.testing.assert_close(parameter.detach().double(), mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"start": 1.0}, "tricks.swa.start"),
        ({"lr": 0.0}, "tricks.swa.lr"),
        ({"low": 0.6}, "tricks.swa.low"),
        ({"every": 0}, "tricks.swa.every"),
        ({"every": 2}, r"weights of 0 epochs.*raise trainer.max_epochs=4"),
    ],
)
def test_mistakes(parameters, says):
    with pytest.raises(UserError, match=says):
        small_plan({"swa": parameters}, small_config(4))


def test_not_together_with_another_average():
    with pytest.raises(UserError, match=r"(?=.*swa)(?=.*ema)"):
        small_plan(["swa", "ema"])
