"""SAM against Algorithm 1 by hand, its limits, and what a second pass must leave alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from assemble.errors import UserError
from tests.helpers.small_run import small_config, small_plan, train
from tricks.sam import SAM

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.Tanh(), nn.Linear(8, 3)]
    return nn.Sequential(*layers).double()


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(step)
    return torch.randn(10, 6, generator=g, dtype=torch.float64), torch.randint(0, 3, (10,), generator=g)


def closure(model, optimizer, step, seen=None):
    def compute() -> torch.Tensor:
        optimizer.zero_grad()
        images, labels = batch(step)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        if seen is not None:
            seen.append(loss.item())
        return loss

    return compute


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-2)


def by_hand(model: nn.Module, steps: int, rho: float, every: int = 1) -> None:
    """Algorithm 1 with SGD, momentum 0.9 and weight decay 0.01, all written out."""
    parameters, momenta = list(model.parameters()), [torch.zeros_like(p) for p in model.parameters()]
    for step in range(steps):
        images, labels = batch(step)
        g = torch.autograd.grad(F.cross_entropy(model(images), labels), parameters)
        if (step + 1) % every == 0:
            length = sum((x**2).sum() for x in g) ** 0.5
            moved = {name: p + rho * x / length for (name, p), x in zip(model.named_parameters(), g, strict=True)}
            other = copy.deepcopy(model)
            other.load_state_dict(moved, strict=False)
            g = torch.autograd.grad(F.cross_entropy(other(images), labels), list(other.parameters()))
        with torch.no_grad():
            for p, x, m in zip(parameters, g, momenta, strict=True):
                m.mul_(0.9).add_(x + 1e-2 * p)
                p.sub_(0.1 * m)


@pytest.mark.parametrize(("rho", "every"), [(0.05, 1), (0.5, 1), (0.5, 3)])
def test_equals_algorithm_1(rho, every):
    expected, model = network(), network()
    by_hand(expected, 6, rho, every)
    optimizer = SAM(sgd(model), model, rho, every)
    for step in range(6):
        optimizer.step(closure(model, optimizer, step))
    for key, value in expected.state_dict().items():  # with batch norm's statistics, of the first passes alone
        torch.testing.assert_close(model.state_dict()[key], value, rtol=1e-10, atol=1e-12)
    plain = network()
    by_hand(plain, 6, 0.0)
    assert not torch.allclose(plain[0].weight, model[0].weight, rtol=1e-5)


def test_without_a_radius_it_is_the_optimizer():
    model, plain = network(), network()
    optimizer, base = SAM(sgd(model), model, 1e-13), sgd(plain)
    for step in range(4):
        optimizer.step(closure(model, optimizer, step))
        base.step(closure(plain, base, step))
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_the_second_pass_draws_the_same_noise_and_no_more():
    model, losses = network(dropout=0.5), []
    optimizer = SAM(sgd(model), model, 1e-13)
    torch.manual_seed(3)
    returned = optimizer.step(closure(model, optimizer, 0, losses))
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert returned.item() == losses[0]
    after = torch.get_rng_state()
    torch.manual_seed(3)
    network_once = network(dropout=0.5)
    torch.manual_seed(3)
    network_once(batch(0)[0])
    assert torch.equal(after, torch.get_rng_state())


def test_statistics_and_their_counter_see_one_pass():
    model, once = network(), network()
    optimizer = SAM(sgd(model), model, 5.0)
    optimizer.step(closure(model, optimizer, 0))
    once(batch(0)[0])
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(model[1], key), getattr(once[1], key))
    assert model[1].track_running_stats


def test_schedules_and_checkpoints_see_one_optimizer():
    model = network()
    inner = sgd(model)
    optimizer = SAM(inner, model, 0.5, every=2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for step in range(3):
        optimizer.step(closure(model, optimizer, step))
        schedule.step()
    assert inner.param_groups[0]["lr"] == pytest.approx(0.1 / 4)
    other = copy.deepcopy(model)
    again = SAM(sgd(other), other, 0.5, every=2)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert again.steps == 3
    for o, m in ((optimizer, model), (again, other)):
        o.step(closure(m, o, 3))
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_in_a_run():
    """With mixing, dropped blocks and moving strengths the second pass sees what the first saw."""
    tricks = {"mixup": {}, "dropblock": {"keep_prob": 0.8}}
    _, plain = train(small_plan(tricks))
    runs = {}
    for name, parameters in {"limit": {"rho": 1e-12}, "never": {"every": 7}, "sam": {"rho": 0.5}}.items():
        trainer, runs[name] = train(small_plan({**tricks, "sam": parameters}))
        assert trainer.global_step == 6
    expected = plain.model.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in runs["never"].model.state_dict().items())
    for key, value in runs["limit"].model.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=2e-3, atol=2e-3)
    assert not torch.allclose(runs["sam"].model.state_dict()["fc.weight"], expected["fc.weight"], atol=2e-3)


def test_the_loss_that_is_logged_is_the_first_passes():
    cfg = small_config(epochs=1)
    cfg.optim.lr = 1e-20
    _, plain = train(small_plan(cfg=cfg))
    _, module = train(small_plan({"sam": {"rho": 2.0}}, cfg))
    assert module.last_loss == plain.last_loss


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("precision", "16-mixed", "trainer.precision=16-mixed"),
        ("accumulate_grad_batches", 2, "trainer.accumulate_grad_batches=1"),
    ],
)
def test_runs_that_have_no_two_gradients(key, value, says):
    cfg = small_config()
    setattr(cfg.trainer, key, value)
    with pytest.raises(UserError, match=f"sam.*{says}"):
        small_plan(["sam"], cfg)


@pytest.mark.parametrize("parameters", [{"rho": 0.0}, {"every": 0}])
def test_mistakes(parameters):
    with pytest.raises(UserError, match=f"tricks.sam.{next(iter(parameters))}"):
        small_plan({"sam": parameters})


def test_bfloat16():
    cfg = small_config()
    cfg.trainer.precision = "bf16-mixed"
    _, module = train(small_plan({"sam": {}, "agc": {}, "ema": {}}, cfg))
    assert all(v.isfinite().all() for v in module.model.state_dict().values())
