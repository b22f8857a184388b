"""Selective Kernel against a literal implementation of the paper's equations."""

import pytest
import torch
from torch import nn

from assemble import create_model
from assemble.models.families import spec_of
from tricks.sk import Form, SelectiveKernel


def literal(m: SelectiveKernel, x):
    """Split, fuse by summing, squeeze, excite, softmax over the two branches, weighted sum."""
    u = torch.relu(m.bn(m.conv(x)))
    feas = torch.stack(u.split(u.shape[1] // 2, dim=1))  # (2, B, C, H, W)
    s = feas.sum(0).mean((2, 3), keepdim=True)
    z = torch.relu(m.bn_fc1(m.fc1(s)))
    a = m.fc2(z)
    weights = torch.stack(a.split(a.shape[1] // 2, dim=1)).softmax(0)
    return (feas * weights).sum(0)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("training", [False, True])
def test_literal(training, form):
    torch.manual_seed(0)
    m = SelectiveKernel(spec_of("resnet50"), 6, 8, 2, reduction=2, min_attention=4, form=form).train(training)
    nn.init.normal_(m.fc2.weight, std=3)  # attention far from 1/2
    x = torch.randn(3, 6, 9, 9)
    expected, got = literal(m, x), m(x)
    assert got.shape == (3, 8, 5, 5)
    torch.testing.assert_close(got, expected)


def test_two_kernels():
    """The first branch sees 3x3 pixels, the second every other one of 5x5: a single bright pixel tells."""
    m = SelectiveKernel(spec_of("resnet50"), 1, 1, 1, reduction=2, min_attention=4, form=Form.two_convs)
    nn.init.ones_(m.conv.conv3.weight)
    nn.init.ones_(m.conv.conv5.weight)
    x = torch.zeros(1, 1, 7, 7)
    x[..., 3, 3] = 1
    three, five = m.conv(x)[0]
    expected = torch.zeros(2, 7, 7)
    expected[0, 2:5, 2:5] = 1
    expected[1, 1:6:2, 1:6:2] = 1
    assert torch.equal(torch.stack([three, five]), expected)


def test_equal_attention_is_the_mean_of_the_branches():
    m = SelectiveKernel(spec_of("resnet50"), 6, 8, 1, reduction=2, min_attention=4).eval()
    nn.init.zeros_(m.fc2.weight)
    x = torch.randn(2, 6, 5, 5)
    u = torch.relu(m.bn(m.conv(x)))
    torch.testing.assert_close(m(x), (u[:, :8] + u[:, 8:]) / 2)


@pytest.mark.parametrize(
    ("reduction", "least", "inner"), [(2, 32, [32, 64, 128, 256]), (16, 32, [32] * 4), (2, 200, [200, 200, 200, 256])]
)
def test_size_of_the_attention(reduction, least, inner):
    """d = max(F / r, L)."""
    with torch.device("meta"):
        model = create_model("resnet50", {"sk": {"reduction": reduction, "min_attention": least}})
    for stage, d in enumerate(inner, start=1):
        assert getattr(model, f"layer{stage}")[0].conv2.fc1.out_channels == d


def test_place_in_a_bottleneck():
    """Instead of the 3x3 convolution, its batch norm and its ReLU; no ReLU after the mix, no groups, no dilation."""
    model = create_model("resnet50", ["sk"], width=8)
    for name, block in model.named_modules():
        if hasattr(block, "conv3"):
            assert isinstance(block.conv2, SelectiveKernel), name
            assert isinstance(block.bn2, nn.Identity)
            assert isinstance(block.act2, nn.Identity)
            conv = block.conv2.conv
            assert (conv.kernel_size, conv.groups, conv.dilation) == ((3, 3), 1, (1, 1))
    assert isinstance(create_model("resnet18", ["sk"], width=8).layer1[0].conv1, SelectiveKernel)
