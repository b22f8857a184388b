"""Adaptive gradient clipping by hand, and against timm's function."""

import copy

import pytest
import torch
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from tests.helpers.small_run import small_plan
from tricks.agc import AGC, classifier


def test_by_hand():
    """Rows of norm 5 and 0: limits 0.1 * 5 and 0.1 * 0.01; the bias is one unit of norm 10, within its limit."""
    layer, head = nn.Linear(2, 2), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        layer.bias.copy_(torch.tensor([6.0, 8.0]))
    before = copy.deepcopy(nn.Sequential(layer, head))
    layer.weight.grad = torch.tensor([[0.0, 2.0], [0.3, 0.4]])
    layer.bias.grad = torch.tensor([0.5, 0.5])
    head.weight.grad = torch.full((1, 2), 100.0)
    optimizer = AGC(torch.optim.SGD([*layer.parameters(), *head.parameters()], lr=1.0), head, 0.1, 0.01)
    optimizer.step()
    steps = [old - new for old, new in zip(before.parameters(), [*layer.parameters(), *head.parameters()], strict=True)]
    torch.testing.assert_close(steps[0], torch.tensor([[0.0, 0.5], [0.0006, 0.0008]]))
    torch.testing.assert_close(steps[1], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(steps[2], torch.full((1, 2), 100.0))


def gradients(model: nn.Module, scale: float = 1.0) -> None:
    model.zero_grad()
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    (scale * nn.functional.cross_entropy(model(images), torch.arange(4))).backward()


def test_equals_timms_function_and_spares_the_classifier():
    from timm.utils.agc import adaptive_clip_grad

    torch.manual_seed(0)
    model = create_model("resnet20", num_classes=5, width=4)
    expected = copy.deepcopy(model)
    head = classifier(model)
    assert head is model.fc
    optimizer = AGC(torch.optim.SGD(model.parameters(), lr=0.1), head, 0.01, 1e-3)
    optimizer.step(lambda: gradients(model, 10.0))
    gradients(expected, 10.0)
    unclipped = expected.conv1.weight.grad.clone()
    adaptive_clip_grad([p for n, p in expected.named_parameters() if not n.startswith("fc.")], 0.01, 1e-3)
    assert not torch.equal(unclipped, expected.conv1.weight.grad)
    torch.optim.SGD(expected.parameters(), lr=0.1).step()
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


def test_with_a_large_factor_it_is_the_optimizer():
    torch.manual_seed(0)
    model = create_model("resnet20", num_classes=5, width=4)
    plain = copy.deepcopy(model)
    AGC(torch.optim.SGD(model.parameters(), lr=0.1), None, 1e9, 1e-3).step(lambda: gradients(model))
    gradients(plain)
    torch.optim.SGD(plain.parameters(), lr=0.1).step()
    assert all(map(torch.equal, model.parameters(), plain.parameters()))


@pytest.mark.parametrize("parameters", [{"clip_factor": 0.0}, {"eps": 0.0}])
def test_mistakes(parameters):
    with pytest.raises(UserError, match=f"tricks.agc.{next(iter(parameters))}"):
        small_plan({"agc": parameters})
