"""Zero gamma: a block is the identity when training begins."""

import pytest
import torch
from torch import nn

from assemble import create_model
from assemble.errors import UserError


@pytest.mark.parametrize("name", ["resnet50", "resnet20"])
@pytest.mark.parametrize("tricks", [[], ["se"], ["anti_alias"]])
def test_a_block_is_the_identity_at_the_start(name, tricks):
    model = create_model(name, ["zero_gamma", *tricks], width=8)
    x = torch.rand(2, 8 * (4 if name == "resnet50" else 1), 6, 6)  # not negative, as after a ReLU
    assert torch.equal(model.layer1[1](x), x)
    assert not torch.equal(create_model(name, tricks, width=8).layer1[1](x), x)


def test_only_the_last_batch_norm_of_each_block_starts_at_zero():
    model = create_model("resnet50", ["zero_gamma"], width=8)
    zero = [n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.any()]
    assert len(zero) == 16
    assert all(n.endswith("bn3") for n in zero)
    model = create_model("resnet50", ["zero_gamma", "big_little"], width=8)
    zero = [n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.any()]
    assert zero == [n for n, _ in model.named_modules() if n.endswith("bn3")]


def test_networks_without_shortcuts_are_refused():
    with pytest.raises(UserError, match=r"zero_gamma.*plain20"):
        create_model("plain20", ["zero_gamma"])
