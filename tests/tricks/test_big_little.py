"""Big-Little: block counts, resolutions, and what flows where."""

import math

import pytest
import torch
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from tricks.big_little import BigLittleStage


@pytest.mark.parametrize(
    ("name", "beta", "big", "little", "last"),
    [
        ("resnet50", 4, [2, 3, 5], [1, 1, 1], 3),
        ("resnet101", 4, [3, 7, 17], [1, 1, 3], 3),
        ("resnet152", 2, [4, 11, 29], [1, 5, 14], 3),
        ("resnet152", 4, [4, 11, 29], [1, 2, 6], 3),
    ],
)
def test_block_counts(name, beta, big, little, last):
    """FACTS A.9."""
    with torch.device("meta"):
        model = create_model(name, {"big_little": {"beta": beta}}, width=8)
    stages = [model.layer1, model.layer2, model.layer3]
    assert all(isinstance(s, BigLittleStage) for s in stages)
    assert [len(s.big) for s in stages] == big
    assert [len(s.little) for s in stages] == little
    assert [len(s.merge) for s in stages] == [1, 1, 1]
    assert isinstance(model.layer4, nn.Sequential)
    assert len(model.layer4) == last


@pytest.mark.parametrize("alpha", [1, 2, 4])
def test_alpha_is_the_width_of_the_little_branch(alpha):
    with torch.device("meta"):
        model = create_model("resnet50", {"big_little": {"alpha": alpha}})
    for stage in (1, 2, 3):
        width = 64 * 2 ** (stage - 1)
        layer = getattr(model, f"layer{stage}")
        assert layer.little[0].conv1.out_channels == width // alpha
        assert layer.big[0].conv1.out_channels == width
    assert model.maxpool.little[0].out_channels == 64 // alpha


def test_resolutions_of_the_paper():
    """At 224: 112, 56; big 28, little 56, out 28; 14, 28, 14; 7, 14, 14; 7."""
    with torch.device("meta"):
        model = create_model("resnet50", ["big_little"], width=8).eval()
    sides = {}
    for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        module = getattr(model, name)
        module.register_forward_hook(lambda m, a, y, name=name: sides.update({name: y.shape[-1]}))
        for part in ("big", "little"):
            if name.startswith("layer") and hasattr(module, part):
                getattr(module, part).register_forward_hook(
                    lambda m, a, y, key=f"{name}.{part}": sides.update({key: y.shape[-1]})
                )
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert sides == {
        "conv1": 112,
        "maxpool": 56,
        "layer1.big": 28,
        "layer1.little": 56,
        "layer1": 28,
        "layer2.big": 14,
        "layer2.little": 28,
        "layer2": 14,
        "layer3.big": 7,
        "layer3.little": 14,
        "layer3": 14,
        "layer4": 7,
    }


@pytest.mark.parametrize("side", [8, 9])
def test_stage_by_its_definition(side):
    """Big enlarged 2x to the nearest (cut on odd maps), added to the widened little, ReLU, merged."""
    torch.manual_seed(0)
    stage = create_model("resnet50", ["big_little"], width=4).layer1.eval()
    x = torch.randn(2, 4, side, side)
    big, little = stage.big(x), stage.expand(stage.little(x))
    assert (big < 0).any(), "no ReLU at the end of the big branch"
    assert big.shape[-1] == math.ceil(side / 2)
    enlarged = big.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :side, :side]
    torch.testing.assert_close(stage(x), stage.merge((enlarged + little).relu()))


def test_every_row_begins_with_a_projection_and_a_pool_where_strided():
    model = create_model("resnet50", ["big_little"], width=4)
    for layer, merge_stride in ((model.layer1, 2), (model.layer2, 2), (model.layer3, 1)):
        for row, stride in ((layer.big, 2), (layer.little, 1), (layer.merge, merge_stride)):
            pool, conv, _ = row[0].downsample
            assert conv.stride == (1, 1)
            assert row[0].conv2.stride == (stride, stride)
            if stride == 1:
                assert isinstance(pool, nn.Identity)
            else:
                assert (pool.kernel_size, pool.stride, pool.padding, pool.count_include_pad) == (3, 2, 1, True)
        assert all(block.downsample is None for row in (layer.big, layer.little) for block in row[1:])


def test_depths_too_small_are_refused():
    from assemble.models.families import spec_of
    from assemble.planning.resolve import resolve
    from tricks import create

    with pytest.raises(UserError, match="big_little"):
        resolve(create(["big_little"]), spec_of("resnet18").replace(depths=(2, 1, 2, 2)))
