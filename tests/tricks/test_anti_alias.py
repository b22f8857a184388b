"""Blurred down-sampling: taps, limiting cases, positions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from assemble.models.cost import cost_of
from assemble.models.families import spec_of
from assemble.planning.resolve import resolve
from tricks import create
from tricks.anti_alias import AntiAlias, Blur, binomial

TAPS = {
    1: [1],
    2: [1, 1],
    3: [1, 2, 1],
    4: [1, 3, 3, 1],
    5: [1, 4, 6, 4, 1],
    6: [1, 5, 10, 10, 5, 1],
    7: [1, 6, 15, 20, 15, 6, 1],
}


@pytest.mark.parametrize("size", TAPS)
def test_taps(size):
    row = torch.tensor(TAPS[size], dtype=torch.float32)
    torch.testing.assert_close(binomial(size), torch.outer(row, row) / row.sum() ** 2)


@pytest.mark.parametrize("size", TAPS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(8, 8), (9, 11), (8, 11)])
def test_a_constant_stays_constant(size, stride, shape):
    x = torch.tensor([2.0, -3.0]).reshape(1, 2, 1, 1).expand(1, 2, *shape)
    y = Blur(2, stride, size)(x)
    assert y.shape[-2:] == tuple(-(-s // stride) for s in shape)
    torch.testing.assert_close(y, x[..., : y.shape[-2], : y.shape[-1]])


def test_filter_1_is_sub_sampling():
    x = torch.randn(2, 3, 9, 8)
    assert torch.equal(Blur(3, 2, 1)(x), x[..., ::2, ::2])


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("shape", [(10, 12), (11, 9)])
def test_blur_by_its_definition(size, shape):
    """Reflect padding of (k - 1) // 2, every window's weighted sum; even filters one pixel more at the far side."""
    x = torch.randn(1, 2, *shape)
    near, far = (size - 1) // 2, size // 2
    padded = F.pad(x, (near, far, near, far), mode="reflect")
    row = torch.tensor(TAPS[size], dtype=torch.float32)
    windows = padded.unfold(2, size, 2).unfold(3, size, 2)
    expected = torch.einsum("bchwij,i,j->bchw", windows, row, row) / row.sum() ** 2
    torch.testing.assert_close(Blur(2, 2, size)(x), expected)


@pytest.mark.parametrize("size", [2, 4, 6])
def test_even_filters_on_even_maps_are_the_official_ones(size):
    """The official code pads both sides by (k - 1) // 2; on even maps the last pixel that we add is never read."""
    x = torch.randn(1, 2, 8, 10)
    pad = (size - 1) // 2
    padded = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
    expected = F.conv2d(padded, binomial(size).expand(2, 1, -1, -1), stride=2, groups=2)
    torch.testing.assert_close(Blur(2, 2, size)(x), expected)


def test_a_map_too_small_for_the_filter_is_a_user_error():
    with pytest.raises(UserError, match=r"tricks\.anti_alias\.filter_size=7.*4x4.*3x5"):
        Blur(2, 2, 7)(torch.zeros(1, 2, 3, 5))
    Blur(2, 2, 7)(torch.zeros(1, 2, 4, 4))


def strided(model) -> list[tuple[int, int]]:
    return sorted(
        (m.kernel_size[0], m.stride[0]) for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride[0] > 1
    )


def test_positions():
    """Three stages down-sample: in their 3x3 convolution, their projection; and the max-pool once."""
    with torch.device("meta"):
        models = {
            positions: create_model("resnet50", {"anti_alias": {"positions": positions}}, width=8)
            for positions in (("conv",), ("projection",), ("max_pool",), ("conv", "projection", "max_pool"))
        }
    three, one = [(3, 2)] * 3, [(1, 2)] * 3
    stem = [(7, 2)]
    assert strided(models["conv",]) == one + stem
    assert strided(models["projection",]) == three + stem
    assert strided(models["max_pool",]) == one + three + stem
    assert strided(models["conv", "projection", "max_pool"]) == stem
    blurs = {k: sum(isinstance(m, Blur) for m in model.modules()) for k, model in models.items()}
    assert list(blurs.values()) == [3, 3, 1, 7]


def test_the_blur_stands_behind_the_relu_and_before_the_last_convolution():
    block = create_model("resnet50", ["anti_alias"], width=8).layer2[0].eval()
    seen = []
    for name in ("act2", "blur", "conv3"):
        getattr(block, name).register_forward_hook(lambda m, a, y, name=name: seen.append((name, tuple(y.shape[-2:]))))
    block(torch.randn(1, 32, 8, 8))
    assert seen == [("act2", (8, 8)), ("blur", (4, 4)), ("conv3", (4, 4))]


def test_big_little_blurs_every_strided_bottleneck():
    """Also the stage-1 big branch and merge block (FACTS A.4): big of stages 1-3, merge of 1 and 2, stage 4."""
    with torch.device("meta"):
        model = create_model("resnet50", ["anti_alias", "big_little"], width=8)
    names = [name for name, m in model.named_modules() if isinstance(m, Blur)]
    assert names == [
        "layer1.big.0.blur",
        "layer1.merge.0.blur",
        "layer2.big.0.blur",
        "layer2.merge.0.blur",
        "layer3.big.0.blur",
        "layer4.0.blur",
    ]


def test_max_pool_position_pools_then_blurs():
    model = create_model("resnet18", {"anti_alias": {"positions": ["max_pool"]}}, width=4)
    x = torch.randn(1, 4, 9, 10)
    torch.testing.assert_close(model.maxpool(x), Blur(4, 2, 3)(F.max_pool2d(x, 3, 1, padding=1)))


def test_form_before_is_ffcvs_and_composers():
    """In front of each strided 3x3 and 1x1 convolution, which keep their strides: zeros beyond the edge."""
    before = {"form": "before", "positions": ["conv", "projection", "max_pool"]}
    torch.manual_seed(0)
    model = create_model("resnet50", {"anti_alias": before}, width=8).eval()
    torch.manual_seed(0)
    plain = create_model("resnet50", width=8).eval()
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16

    def blurred(x, stride=1):
        return F.conv2d(x, kernel.expand(x.shape[1], 1, 3, 3), stride=stride, padding=1, groups=x.shape[1])

    assert strided(model) == [(3, 2)] * 3 + [(7, 2)]
    block, same = model.layer3[0], plain.layer3[0]
    x = torch.randn(1, 64, 9, 8)
    assert isinstance(block.blur, nn.Identity)
    inner = same.act1(same.bn1(same.conv1(x)))
    inner = same.bn3(same.conv3(same.act2(same.bn2(same.conv2(blurred(inner))))))
    torch.testing.assert_close(block(x), F.relu(inner + same.downsample(blurred(x))))
    x = torch.randn(1, 8, 9, 10)
    torch.testing.assert_close(model.maxpool(x), blurred(F.max_pool2d(x, 3, 1, padding=1), stride=2))
    assert sum(isinstance(m, Blur) for m in model.modules()) == 7


def test_form_before_does_not_cost_the_stride():
    """Published: "roughly the same number of FLOPs" (Composer). Blurs alone: 9 multiply-adds for each number."""
    plain, with_blur = (
        cost_of(resolve(create(tricks), spec_of("resnet50")).spec, 224)
        for tricks in ({}, {"anti_alias": {"form": "before"}})
    )
    assert with_blur.macs - plain.macs == 9 * (128 * 56**2 + 256 * 28**2 + 512 * 14**2)


@pytest.mark.parametrize("size", [0, 8])
def test_filter_sizes_out_of_range(size):
    with pytest.raises(UserError, match="filter_size must be at least 1 and at most 7"):
        AntiAlias(filter_size=size)


@pytest.mark.parametrize(
    ("name", "position", "match"),
    [
        ("plain18", "projection", "plain18"),
        ("resnet20", "projection", "resnet20"),
        ("resnet20", "max_pool", "resnet20"),
        ("resnet50_v1", "conv", "resnet50_v1"),
    ],
)
def test_a_position_that_is_not_there(name, position, match):
    with pytest.raises(UserError, match=f"anti_alias.*{match}"):
        create_model(name, {"anti_alias": {"positions": [position]}})
