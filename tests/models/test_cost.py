"""Multiply-adds against the published numbers and a case counted by hand."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from assemble.models.cost import cost_of, count_cost
from assemble.models.families import spec_of
from assemble.planning.resolve import resolve
from tricks import create

R152 = {"big_little": {"alpha": 1, "beta": 2}, "sk": {}, "anti_alias": {}}
PUBLISHED = [  # arXiv 2001.06268, Table 12; its Big-Little networks are ResNet-50 at 256 and ResNet-152 at 224
    ("resnet50", {}, 224, 4.1),
    ("resnet50", {"resnet_d": {}}, 224, 4.4),
    ("resnet50", {"resnet_d": {}, "sk": {}}, 224, 6.2),
    ("resnet50", {"big_little": {}, "sk": {}}, 256, 5.4),
    ("resnet152", R152, 224, 15.8),
]


@pytest.mark.parametrize(("name", "tricks", "size", "published"), PUBLISHED)
def test_published_multiply_adds(name, tricks, size, published):
    cost = cost_of(resolve(create(tricks), spec_of(name)).spec, size)
    assert cost.macs / 1e9 == pytest.approx(published, rel=0.03)


def test_where_the_published_number_is_not_met():
    """Table 12 says 7.2 G for Big-Little + SK + anti-aliasing; we count 7.48 G at 256, 3.9 % more. The parameters and
    the logits agree with the official code (test_parity), so this is a matter of what the table counted.
    """
    cost = cost_of(resolve(create(["big_little", "sk", "anti_alias"]), spec_of("resnet50")).spec, 256)
    assert cost.macs / 1e9 == pytest.approx(7.479, abs=0.001)


def test_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 5),
    )
    cost = count_cost(model, torch.zeros(1, 3, 8, 8))
    assert cost.macs == 16 * 8 * 3 * 9 + 16 * 8 * 9 + 8 * 16 * 5
    assert cost.params == 8 * 3 * 9 + 8 + 8 * 9 + 8 * 16 * 5 + 5


def test_resnet20_by_hand():
    """He et al.: 0.27 M parameters; convolutions at 32x32, 16x16 and 8x8."""
    cost = cost_of(spec_of("resnet20", num_classes=10), 32)
    stage1 = 32 * 32 * (3 * 16 * 9 + 6 * 16 * 16 * 9)
    stage2 = 16 * 16 * (16 * 32 * 9 + 5 * 32 * 32 * 9)
    stage3 = 8 * 8 * (32 * 64 * 9 + 5 * 64 * 64 * 9)
    assert cost.macs == stage1 + stage2 + stage3 + 64 * 10
    assert cost.params == 269_722


def test_fixed_blurs_are_counted():
    """One blur behind each of the three strided 3x3 convolutions, which then run at four times the pixels."""
    plain = cost_of(spec_of("resnet50", width=8), 64)
    blurred = cost_of(resolve(create(["anti_alias"]), spec_of("resnet50", width=8)).spec, 64)
    sites = [(16, 8), (32, 4), (64, 2)]  # width, side behind the stride
    more = sum(3 * side**2 * width * width * 9 + side**2 * width * 9 for width, side in sites)
    assert blurred.macs - plain.macs == more
    assert blurred.params == plain.params


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet20", 32), ("resnet50", 64), ("mobilenet_v1", 64), ("efficientnet_b0", 64), ("timm:convnext_atto", 64)],
)
def test_torch_counts_the_same(name, size):
    """We do not use its counter: it takes 0.2 s to import, of an explanation's 3 s, and four times as long to count."""
    spec, counter = spec_of(name), FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), counter:
        spec.build().eval()(torch.empty(1, 3, size, size))
    assert counter.get_total_flops() == 2 * cost_of(spec, size).macs  # a multiply-add is two of its operations
