"""Stochastic depth: survival, expectation, the linear rule."""

import pytest
import torch

from assemble import create_model
from assemble.errors import UserError
from tricks.stochastic_depth import DropPath, StochasticDepth


def test_whole_images_survive_and_the_expectation_is_kept():
    torch.manual_seed(0)
    x = torch.ones(20_000, 2, 2, 2)
    y = DropPath(0.3)(x)
    per_image = y[:, 0, 0, 0]
    assert (y == per_image[:, None, None, None]).all()
    survivors = per_image > 0
    torch.testing.assert_close(per_image[survivors], torch.full((int(survivors.sum()),), 1 / 0.7))
    assert float(survivors.float().mean()) == pytest.approx(0.7, abs=0.015)
    assert float(y.mean()) == pytest.approx(1, abs=0.02)


def test_evaluation_is_the_identity():
    x = torch.randn(2, 3, 4, 4)
    assert DropPath(0.9).eval()(x) is x


@pytest.mark.parametrize("name", ["resnet20", "resnet50"])
def test_linear_rule(name):
    """Block l of L is skipped with probability l / L * rate (section 3 of the paper)."""
    model = create_model(name, {"stochastic_depth": {"rate": 0.4}}, width=4)
    rates = [m.rate.item() for m in model.modules() if isinstance(m, DropPath)]
    total = {"resnet20": 9, "resnet50": 16}[name]
    assert rates == pytest.approx([0.4 * (i + 1) / total for i in range(total)])


def test_a_skipped_block_is_the_identity():
    block = create_model("resnet20", {"stochastic_depth": {"rate": 0.5}}, width=4).layer1[1].train()
    block.branch.rate.fill_(1 - 1e-7)
    x = torch.rand(2, 4, 6, 6)
    assert torch.equal(block(x), x)


def test_networks_without_shortcuts_are_refused():
    with pytest.raises(UserError, match=r"stochastic_depth.*plain20"):
        create_model("plain20", ["stochastic_depth"])
    with pytest.raises(UserError, match=r"tricks\.stochastic_depth\.rate"):
        StochasticDepth(rate=1.0)
