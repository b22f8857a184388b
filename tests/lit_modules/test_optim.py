"""What weight decay acts on, and how the optimizer steps."""

import pytest
import torch
from torch import nn

from conf.schema import DecayRule, OptimConfig
from core.errors import UserError
from lit_modules.optim import build_optimizer, parameter_groups
from models import create_model


def decayed_names(model, rule) -> set[str]:
    names = {p: n for n, p in model.named_parameters()}
    groups = parameter_groups(model, 0.1, rule)
    assert sum(len(g["params"]) for g in groups) == len(names), "every parameter once"
    assert {g["weight_decay"] for g in groups} <= {0.1, 0.0}
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
    params = [p for g in parameter_groups(model, 0.1, DecayRule.all) for p in g["params"]]
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


def test_unknown_optimizer():
    with pytest.raises(UserError, match=r"unknown optimizer 'sgdd'. Did you mean 'sgd'"):
        build_optimizer(nn.Linear(1, 1), OptimConfig(name="sgdd"))
