"""ResNet-D: the stem of three convolutions and the pooled shortcut."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from assemble.models.layers import ZeroPadShortcut


def test_stem():
    """3x3/2, 3x3, 3x3 with 32, 32, 64 channels (FACTS A.9)."""
    with torch.device("meta"):
        stem = create_model("resnet50", ["resnet_d"]).conv1
    convs = [m for m in stem if isinstance(m, nn.Conv2d)]
    assert [(c.kernel_size[0], c.stride[0], c.out_channels) for c in convs] == [(3, 2, 32), (3, 1, 32), (3, 1, 64)]
    assert [type(m) for m in stem] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2 + [nn.Conv2d]


@pytest.mark.parametrize(("pool_stage1", "stride", "layer"), [(True, 1, 1), (False, 1, 1), (True, 2, 2), (False, 2, 2)])
def test_shortcut(pool_stage1, stride, layer):
    model = create_model("resnet50", {"resnet_d": {"pool_stage1": pool_stage1}}, width=8).eval()
    shortcut = getattr(model, f"layer{layer}")[0].downsample
    _, conv, norm = shortcut
    x = torch.randn(2, conv.in_channels, 8, 8)
    if stride == 2:
        pooled = F.avg_pool2d(x, 2)
    elif pool_stage1:
        outside = F.pad(x, (0, 1, 0, 1), value=float("nan"))
        pooled = outside.unfold(2, 2, 1).unfold(3, 2, 1).flatten(-2).nanmean(-1)  # SAME: only what lies inside
    else:
        pooled = x
    assert conv.stride == (1, 1)
    torch.testing.assert_close(shortcut(x), norm(conv(pooled)))


def test_the_stem_alone_is_resnet_c():
    with torch.device("meta"):
        plain, c, d = (
            create_model("resnet50", tricks) for tricks in ({}, {"resnet_d": {"shortcut": False}}, {"resnet_d": {}})
        )
    assert str(c.conv1) == str(d.conv1) != str(plain.conv1)
    assert str(c.layer2) == str(plain.layer2) != str(d.layer2)
    with pytest.raises(UserError, match=r"pool_stage1=false changes nothing beside shortcut=false"):
        create_model("resnet50", {"resnet_d": {"shortcut": False, "pool_stage1": False}})


def test_small_images_keep_their_stem_and_get_the_shortcut():
    model = create_model("resnet20", ["resnet_d"])
    assert isinstance(model.conv1, nn.Conv2d)
    assert not [m for m in model.modules() if isinstance(m, ZeroPadShortcut)]
    assert isinstance(create_model("plain18", ["resnet_d"], width=8).conv1, nn.Sequential)


def test_nothing_to_change():
    with pytest.raises(UserError, match="resnet_d finds nothing to change in plain20"):
        create_model("plain20", ["resnet_d"])


@pytest.mark.parametrize("name", ["resnet18", "tiny", "plain18"])
def test_a_pool_that_is_not_there_cannot_be_left_out(name):
    create_model(name, ["resnet_d"], stem="imagenet")
    with pytest.raises(UserError, match=rf"resnet_d\.pool_stage1=false changes nothing in this {name}"):
        create_model(name, {"resnet_d": {"pool_stage1": False}}, stem="imagenet")


def test_beside_big_little_it_changes_nothing():
    torch.manual_seed(0)
    with_d = create_model("resnet50", ["resnet_d", "big_little"], width=8, num_classes=3)
    torch.manual_seed(0)
    without = create_model("resnet50", ["big_little"], width=8, num_classes=3)
    assert with_d.state_dict().keys() == without.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(with_d.state_dict().values(), without.state_dict().values(), strict=True)
    )
