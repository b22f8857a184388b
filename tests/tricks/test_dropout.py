"""Dropout: how much is zeroed, what stays, and where."""

import pytest
import torch

from assemble import create_model
from assemble.errors import UserError
from tricks import create
from tricks.dropout import Dropout


def test_features_are_zeroed_one_by_one_and_the_expectation_is_kept():
    torch.manual_seed(0)
    y = Dropout(0.3)(torch.ones(200, 500))
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert (y == 0).any(0).all()
    assert (y == 0).any(1).all()
    assert Dropout(0.3)(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_evaluation_is_the_identity():
    x = torch.randn(2, 3)
    assert Dropout(0.9).eval()(x) is x


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v1", "timm:resnet10t"])
def test_the_classifier_sees_what_is_left(name):
    torch.manual_seed(0)
    model = create_model(name, {"dropout": {"rate": 0.5}}, num_classes=3)
    seen: list[torch.Tensor] = []
    classifier = next(m for m in model.modules() if isinstance(m, torch.nn.Linear))
    classifier.register_forward_pre_hook(lambda m, x: seen.append(x[0]))
    model(torch.randn(4, 3, 64, 64))
    assert 0.35 < float((seen[0] == 0).float().mean()) < 0.75


def test_it_may_grow():
    (trick,) = create({"dropout": {"rate": {"from": 0.1, "to": 0.3, "stages": 4}}})
    model = create_model("resnet20", {"dropout": {"rate": {"from": 0.1, "to": 0.3, "stages": 4}}}, width=4)
    module = next(m for m in model.modules() if isinstance(m, Dropout))
    assert float(module.rate) == pytest.approx(0.1)
    trick.at(0.6).update(model)
    assert float(module.rate) == pytest.approx(0.1 + 0.2 * 2 / 3)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_is_a_probability(rate):
    with pytest.raises(UserError, match=r"tricks\.dropout\.rate must be at least 0 and below 1"):
        create({"dropout": {"rate": rate}})
