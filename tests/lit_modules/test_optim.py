"""What weight decay and layer decay act on, and how each optimizer steps: against its definition, in float64."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from assemble import create_model
from assemble.config.groups import group_names
from assemble.errors import UserError
from assemble.schema import Config, DecayRule, OptimConfig
from lit_modules.classifier import Classifier
from lit_modules.optim import build_optimizer, check_optimizer, optimizer_arguments, parameter_groups
from lit_modules.schedule import Schedule
from tests.helpers.composing import composed

ROOT = Path(__file__).resolve().parents[2]


def decayed_names(model, rule) -> set[str]:
    names = {p: n for n, p in model.named_parameters()}
    groups = parameter_groups(model, OptimConfig(weight_decay=0.1, decay_rule=rule))
    assert sum(len(g["params"]) for g in groups) == len(names), "every parameter once"
    assert {g["weight_decay"] for g in groups} <= {0.1, 0.0}
    assert len(groups) <= 2
    return {names[p] for g in groups if g["weight_decay"] for p in g["params"]}


def network() -> nn.Module:
    with torch.device("meta"):
        return create_model("resnet50", ["big_little", "sk", "se"], width=8)


def norms(model) -> set[str]:
    return {f"{n}.{p}" for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) for p in ("weight", "bias")}


def test_rules():
    model = network()
    everything = {n for n, _ in model.named_parameters()}
    assert decayed_names(model, DecayRule.official) == everything - norms(model)
    assert "fc.bias" in decayed_names(model, DecayRule.official)
    assert decayed_names(model, DecayRule.weights) == everything - norms(model) - {"fc.bias"}
    assert decayed_names(model, DecayRule.all) == everything
    assert norms(model) <= everything


def test_other_norms_are_found_by_type_and_frozen_parameters_left_out():
    model = nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.Linear(4, 2))
    assert decayed_names(model, DecayRule.official) == {"0.weight", "0.bias", "3.weight", "3.bias"}
    model[3].weight.requires_grad_(False)
    params = [p for g in parameter_groups(model, OptimConfig(decay_rule=DecayRule.all)) for p in g["params"]]
    assert not any(p is model[3].weight for p in params)


@pytest.mark.parametrize("nesterov", [False, True])
def test_two_steps_by_hand(nesterov):
    """Coupled decay: v = mu v + g + wd w; w -= lr v (Nesterov: lr (g + wd w + mu v))."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    optimizer = build_optimizer(model, OptimConfig(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov))
    w, v = 2.0, 0.0
    for g in (3.0, -1.0):
        model.weight.grad = torch.full_like(model.weight, g)
        optimizer.step()
        d = g + 0.01 * w
        v = 0.9 * v + d
        w -= 0.1 * (d + 0.9 * v if nesterov else v)
        assert float(model.weight.detach()) == pytest.approx(w, rel=1e-6)


# --- against the definitions

GRADIENTS = np.array(
    [[[0.5, -2.0, 0.1], [0.0, 3.0, -0.7]], [[-0.2, 1.0, 0.3], [0.4, 0.1, 0.0]], [[1, 1, 1], [-1, 0, 2]]]
)
RATES = (0.1, 0.3, 0.02)
"""Three steps with a changing learning rate."""


def weights_after(cfg: OptimConfig) -> list[np.ndarray]:
    """A 2x3 matrix after each of the steps."""
    model = nn.Linear(3, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5], [0.3, 4.0, -1.0]]))
    optimizer = build_optimizer(model, cfg)
    weights = [model.weight.detach().numpy().copy()]
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        model.weight.grad = torch.tensor(gradient)
        optimizer.step()
        weights.append(model.weight.detach().numpy().copy())
    return weights


def test_rmsprop_is_tensorflows():
    """tf.train.RMSPropOptimizer: eps inside the root, the rate inside the momentum, the mean square 1 at first."""
    cfg = OptimConfig(name="rmsproptf", momentum=0.8, weight_decay=0.05, args={"alpha": 0.9, "eps": 1e-3})
    weights = weights_after(cfg)
    w, ms, momentum = weights[0], np.ones((2, 3)), np.zeros((2, 3))
    for step, (gradient, rate) in enumerate(zip(GRADIENTS, RATES, strict=True), start=1):
        g = gradient + 0.05 * w
        ms = 0.9 * ms + 0.1 * g**2
        momentum = 0.8 * momentum + rate * g / np.sqrt(ms + 1e-3)
        w = w - momentum
        np.testing.assert_allclose(weights[step], w, rtol=1e-12)


def adam_steps(gradients, beta1=0.9, beta2=0.95, eps=1e-2):
    """m / (sqrt(v) + eps) with both averages corrected (arXiv 1412.6980); the next gradient is sent in."""
    m = v = np.zeros((2, 3))
    for t, g in enumerate(gradients, start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        yield (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)


ADAM = {"betas": [0.9, 0.95], "eps": 1e-2}


def test_adamw_takes_the_decay_from_the_weights():
    weights = weights_after(OptimConfig(name="adamw", weight_decay=0.2, args=ADAM))
    w = weights[0]
    for step, (adam, rate) in enumerate(zip(adam_steps(GRADIENTS), RATES, strict=True), start=1):
        w = w * (1 - rate * 0.2) - rate * adam
        np.testing.assert_allclose(weights[step], w, rtol=1e-12)


def test_adam_adds_the_decay_to_the_gradient():
    weights = weights_after(OptimConfig(name="adam", weight_decay=0.2, args=ADAM))
    decayed = [g + 0.2 * w for g, w in zip(GRADIENTS, weights[:-1], strict=True)]
    w = weights[0]
    for step, (adam, rate) in enumerate(zip(adam_steps(decayed), RATES, strict=True), start=1):
        w = w - rate * adam
        np.testing.assert_allclose(weights[step], w, rtol=1e-12)


@pytest.mark.parametrize("max_norm", [1.0, None])
def test_lamb_scales_the_step_by_the_trust_ratio(max_norm):
    """r = m / (sqrt(v) + eps) + wd w;  w -= lr |w| / |r| r  (arXiv 1904.00962), gradients clipped as a whole before."""
    weights = weights_after(OptimConfig(name="lamb", weight_decay=0.2, args=ADAM | {"max_grad_norm": max_norm}))
    clipped = [g / max(1.0, np.linalg.norm(g)) for g in GRADIENTS] if max_norm else GRADIENTS
    w = weights[0]
    for step, (adam, rate) in enumerate(zip(adam_steps(clipped), RATES, strict=True), start=1):
        r = adam + 0.2 * w
        w = w - rate * np.linalg.norm(w) / np.linalg.norm(r) * r
        np.testing.assert_allclose(weights[step], w, rtol=1e-12)


def test_lamb_leaves_undecayed_parameters_to_adam():
    weights = weights_after(OptimConfig(name="lamb", weight_decay=0.0, args=ADAM | {"max_grad_norm": None}))
    w = weights[0]
    for step, (adam, rate) in enumerate(zip(adam_steps(GRADIENTS), RATES, strict=True), start=1):
        w = w - rate * adam
        np.testing.assert_allclose(weights[step], w, rtol=1e-12)


# --- layer decay


def shares(groups, model, lr) -> dict[str, float]:
    names = {p: n for n, p in model.named_parameters()}
    return {names[p]: g["lr"] / lr for g in groups for p in g["params"]}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_layer_decay_is_timms(name):
    import timm
    from timm.optim import param_groups_layer_decay

    cfg = OptimConfig(lr=0.3, layer_decay=0.7)
    with torch.device("meta"):
        theirs, ours = timm.create_model(name, num_classes=10), create_model(name, num_classes=10)
    groups = [g | {"lr": g["lr_scale"]} for g in param_groups_layer_decay(theirs, layer_decay=0.7)]
    expected = shares(groups, theirs, 1.0)
    assert len(set(expected.values())) == 2 + sum((2, 2, 2, 2) if name == "resnet18" else (3, 4, 6, 3))
    assert shares(parameter_groups(theirs, cfg), theirs, 0.3) == pytest.approx(expected)
    assert shares(parameter_groups(ours, cfg), ours, 0.3) == pytest.approx(expected)


def test_layer_decay_by_hand_and_with_weight_decay():
    model = create_model("resnet20", width=4)
    groups = parameter_groups(model, OptimConfig(lr=1.0, layer_decay=0.5, weight_decay=0.1))
    share = shares(groups, model, 1.0)
    by_hand = {"fc": 0, "layer3.2": 1, "layer3.1": 2, "layer2.0": 6, "layer1.0": 9, "conv1": 10, "bn1": 10}
    for prefix, distance in by_hand.items():
        found = {value for name, value in share.items() if name.startswith(prefix + ".")}
        assert found == {0.5**distance}, prefix
    assert groups[0]["lr"] == 1.0  # the rate that is logged
    decayed = {p for g in groups if g["weight_decay"] for p in g["params"]}
    assert {n for n, p in model.named_parameters() if p not in decayed} == norms(model)


def test_a_stage_that_is_no_row_of_blocks_is_one_layer():
    model = network()
    share = shares(parameter_groups(model, OptimConfig(lr=1.0, layer_decay=0.5)), model, 1.0)
    by_hand = {"fc": 0, "layer4.2": 1, "layer4.0": 3, "layer3": 4, "layer2": 5, "layer1": 6, "maxpool": 7, "conv1": 7}
    for prefix, distance in by_hand.items():
        assert {v for n, v in share.items() if n.startswith(prefix + ".")} == {0.5**distance}, prefix


def test_the_schedule_keeps_the_shares():
    module = Classifier(
        create_model("resnet20", width=4, num_classes=3),
        num_classes=3,
        optim=OptimConfig(lr=0.4, layer_decay=0.5),
        schedule=Schedule("linear", 4, 3, 1),
    )
    setup = module.configure_optimizers()
    optimizer, scheduler = setup["optimizer"], setup["lr_scheduler"]["scheduler"]
    peaks = [g["initial_lr"] for g in optimizer.param_groups]
    assert min(peaks) == pytest.approx(0.4 * 0.5**10)
    for step in range(1, 10):
        optimizer.step()
        scheduler.step()
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([module.schedule(step) * p for p in peaks])


def test_layer_decay_needs_an_order_of_layers():
    with pytest.raises(UserError, match=r"optim\.layer_decay: Linear does not say"):
        parameter_groups(nn.Linear(1, 1), OptimConfig(layer_decay=0.5))


# --- the configuration


def configured(*overrides: str) -> OptimConfig:
    cfg = OmegaConf.to_object(composed(*overrides))
    assert isinstance(cfg, Config)
    return cfg.optim


SGD = ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4})
PUBLISHED = {
    "sgd": SGD,
    "momentum": SGD,
    "rmsprop_tf": ("rmsproptf", {"lr": 0.256, "momentum": 0.9, "alpha": 0.9, "eps": 1e-3, "weight_decay": 1e-5}),
    "lamb": ("lamb", {"lr": 5e-3, "weight_decay": 0.02, "betas": [0.9, 0.999], "eps": 1e-6, "max_grad_norm": 1.0}),
    "adamw": ("adamw", {"lr": 1e-3, "weight_decay": 0.05, "betas": [0.9, 0.999], "eps": 1e-8}),
    "adam": ("adam", {"lr": 1e-3, "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8}),
}


def test_every_option_has_its_published_numbers():
    assert set(PUBLISHED) == set(group_names()["optim"])
    for option, (name, numbers) in PUBLISHED.items():
        cfg = configured(f"optim={option}")
        assert cfg.name == name
        group = build_optimizer(nn.Linear(2, 2), cfg).param_groups[0]
        values = {key: group[key] for key in numbers}
        assert {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()} == numbers


def test_efficientnets_schedule():
    schedule = Schedule.of(configured("optim=rmsprop_tf"), 1_281_167 / 4096, 350)
    assert schedule(schedule.warmup_steps) == pytest.approx(0.97**2)
    assert schedule(schedule.total_steps - 1) == pytest.approx(0.97**145)


def test_arguments_of_the_optimizer_from_the_command_line():
    cfg = configured("optim=adamw", "optim.args.betas=[0.8,0.9]", "optim.args.amsgrad=true")
    assert optimizer_arguments(cfg) == {"betas": [0.8, 0.9], "eps": 1e-8, "amsgrad": True}
    assert type(build_optimizer(nn.Linear(1, 1), configured("optim.name=lion"))).__name__ == "Lion"


@pytest.mark.parametrize(
    ("cfg", "line"),
    [
        ({"name": "sgdd"}, r"unknown optimizer 'sgdd'. Did you mean 'sgd.?'\? Available: .*lamb"),
        ({"name": "adahessian"}, r"unknown optimizer 'adahessian'"),
        ({"args": {"dampning": 0.1}}, r"unknown argument of optimizer sgd 'dampning'. Did you mean 'dampening'"),
        ({"name": "adamw", "args": {"beta": 1}}, r"unknown argument of optimizer adamw 'beta'. Did you mean 'betas'"),
        ({"name": "adamw", "args": {"lr": 1}}, r"optim.args.lr: write optim.lr"),
        ({"args": {"nesterov": True}}, r"optim.args.nesterov: write optim.nesterov"),
        ({"name": "adamw", "nesterov": True}, r"optim.nesterov is for optim.name=sgd, not for adamw"),
        ({"name": "adamw", "args": {"betas": [0.9]}}, r"optimizer adamw refuses its arguments .*optim.args"),
        ({"name": "adamw", "args": {"betas": [0.9, 2]}}, r"optimizer adamw refuses its arguments .*Invalid beta"),
        ({"momentum": 0.0, "nesterov": True}, r"optimizer sgd refuses its arguments .*momentum"),
    ],
)
def test_mistakes(cfg, line):
    with pytest.raises(UserError, match=line):
        check_optimizer(OptimConfig(**cfg))


@pytest.mark.process
def test_plain_sgd_does_not_wait_for_timm():
    code = (
        "from torch import nn; from assemble.schema import OptimConfig; from lit_modules.optim import build_optimizer\n"
        "import sys; print(type(build_optimizer(nn.Linear(1, 1), OptimConfig())).__module__, 'timm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["torch.optim.sgd", "False"]
