"""EfficientNets of stages: the published ones are timm's; those of the user are what the words say, or refused."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from assemble.models.cost import cost_of
from assemble.models.families import spec_of

NAMES = [*(f"efficientnet_b{i}" for i in range(8)), *(f"efficientnetv2_{s}" for s in ("b0", "b1", "b2", "b3", *"sml"))]


@pytest.mark.parametrize("name", [*NAMES, "efficientnetv2_xl"])
def test_the_published_ones_are_timms_layer_by_layer(name: str) -> None:
    """All modules in their order, with strides, padding, activations; batch norm's momentum is the official code's."""
    with torch.device("meta"):
        theirs, ours = timm.create_model(f"tf_{name}"), create_model(name)
    assert repr(ours).replace("momentum=0.01", "momentum=0.1") == repr(theirs)


def test_the_same_weights_give_the_same_logits() -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnetv2_b0", num_classes=5).eval()
    ours = create_model("efficientnetv2_b0", num_classes=5).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))


BLOCKS = ["cn_r1_k3_s1_e1_c8_skip", "er_r2_k3_s2_e4_c16", "ir_r3_k5_s2_e6_c24_se0.25"]


def test_stages_by_hand() -> None:
    network: Any = create_model("efficientnet", num_classes=4, blocks=BLOCKS)
    rows = network.blocks
    assert [len(row) for row in rows] == [1, 2, 3]
    fused, inverted = rows[1][0], rows[2][0]
    assert fused.conv_exp.weight.shape == (32, 8, 3, 3)
    assert fused.conv_pwl.weight.shape == (16, 32, 1, 1)
    assert inverted.conv_pw.weight.shape == (96, 16, 1, 1)
    assert inverted.conv_dw.weight.shape == (96, 1, 5, 5)
    assert inverted.se.conv_reduce.weight.shape == (4, 96, 1, 1)  # a quarter of the block's 16 input channels
    assert network.conv_stem.stride == (2, 2)
    assert network.forward_features(torch.zeros(1, 3, 32, 32)).shape == (1, 1280, 4, 4)


def test_six_strides_are_six() -> None:
    deep = spec_of("efficientnet", blocks=["er_r1_k3_s2_e1_c8"] * 5)
    network: Any = deep.build().eval()
    assert deep.stride == 64
    assert network.forward_features(torch.zeros(1, 3, 128, 128)).shape[-2:] == (2, 2)


def test_small_images_get_the_small_stem() -> None:
    small = spec_of("efficientnet", blocks=BLOCKS, image_size=24)
    assert (small.stride, spec_of("efficientnet", blocks=BLOCKS, image_size=65).stride) == (4, 8)
    network: Any = small.build().eval()
    assert network.forward_features(torch.zeros(1, 3, 24, 24)).shape[-2:] == (6, 6)
    assert cost_of(small, 24).macs == cost_of(spec_of("efficientnet", blocks=BLOCKS, stem="small"), 24).macs
    with pytest.raises(UserError, match="too small"):
        small.check_size(3)


def test_a_published_network_with_other_stages() -> None:
    network: Any = create_model("efficientnet_b3", blocks=["ir_r2_k3_s2_e6_c40_se0.25"])
    assert len(network.blocks[0]) == 3  # 2 x 1.4, rounded up
    assert network.blocks[0][0].bn3.num_features == 48  # 40 x 1.2
    assert isinstance(network.classifier, nn.Linear)


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ([], r"efficientnet needs its stages: model\.blocks=\["),
        (
            ["ir_r2_k3_s2_e4_c24", "xx_r1_k3_s1_e1_c8"],
            r"model\.blocks: cannot read stage 2, 'xx_r1_k3_s1_e1_c8': write",
        ),
        (["ir_r0_k3_s2_e4_c24"], "cannot read stage 1"),
        (["ir_r1_k3_s2_c24"], "cannot read stage 1"),
        (["ir_r1_k3_s3_e4_c24"], "cannot read stage 1"),
        (["ir_r1_k4_s2_e4_c24"], "stage 1, ir_r1_k4_s2_e4_c24, has an even kernel"),
    ],
)
def test_refused(blocks: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        create_model("efficientnet", blocks=blocks)
    with pytest.raises(UserError, match="resnet50 has no blocks to choose"):
        create_model("resnet50", blocks=BLOCKS)
