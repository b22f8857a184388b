"""Weight decay without biases: what is decayed, and refused where it is so already."""

import pytest
from torch import nn

from assemble.errors import UserError
from assemble.runs.build import build_module
from assemble.schema import DecayRule
from tests.helpers.small_run import small_config, small_plan


@pytest.mark.parametrize("rule", [DecayRule.official, DecayRule.all])
def test_norms_and_biases_are_spared(rule):
    cfg = small_config()
    cfg.optim.decay_rule = rule
    module = build_module(small_plan(["no_bias_decay"], cfg))
    decays = {
        id(p): group["weight_decay"]
        for group in module.configure_optimizers()["optimizer"].param_groups
        for p in group["params"]
    }
    for layer in module.model.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            spared = isinstance(layer, nn.BatchNorm2d) or name == "bias"
            assert decays[id(parameter)] == (0.0 if spared else 1e-4)
    assert cfg.optim.decay_rule is rule  # the configuration stays


@pytest.mark.parametrize(("key", "value"), [("decay_rule", DecayRule.weights), ("weight_decay", 0.0)])
def test_where_it_changes_nothing(key, value):
    cfg = small_config()
    setattr(cfg.optim, key, value)
    with pytest.raises(UserError, match=f"no_bias_decay changes nothing beside optim.{key}"):
        small_plan(["no_bias_decay"], cfg)
