"""Squeeze-and-Excitation against a literal implementation."""

import pytest
import torch
from torch import nn

from assemble import create_model
from tricks.se import SqueezeExcitation


def test_literal():
    torch.manual_seed(0)
    m = SqueezeExcitation(32, 16)
    x = torch.randn(3, 32, 4, 5)
    w1, w2 = m.fc1.weight.flatten(1), m.fc2.weight.flatten(1)
    assert w1.shape == (2, 32)
    gate = torch.sigmoid(torch.relu(x.mean((2, 3)) @ w1.T) @ w2.T)
    torch.testing.assert_close(m(x), x * gate[:, :, None, None])
    assert all(not key.endswith("bias") for key in m.state_dict())


def test_zero_weights_halve():
    m = SqueezeExcitation(8, 4)
    nn.init.zeros_(m.fc2.weight)
    x = torch.randn(2, 8, 3, 3)
    assert torch.equal(m(x), x * 0.5)


@pytest.mark.parametrize(("reduction", "inner"), [(16, 16), (4, 64), (10_000, 1)])
def test_reduction(reduction, inner):
    with torch.device("meta"):
        model = create_model("resnet50", {"se": {"reduction": reduction}})
    assert model.layer1[0].attention.fc1.out_channels == inner


def test_place():
    """After the last batch norm (and DropBlock), before the branch is dropped and added."""
    block = create_model("resnet18", ["se", "dropblock", "stochastic_depth"], width=8).layer4[0]
    seen = []
    for name in ("bn2", "drop2", "attention", "branch", "final_act"):
        getattr(block, name).register_forward_hook(lambda *_, name=name: seen.append(name))
    block(torch.randn(2, 32, 8, 8))
    assert seen == ["bn2", "drop2", "attention", "branch", "final_act"]
