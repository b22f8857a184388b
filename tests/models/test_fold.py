"""Folded networks are the same functions: in float64 to its rounding, so that nothing hides in float32's."""

import copy
import math

import pytest
import timm
import torch
from torch import Tensor, nn

from assemble import create_model
from assemble.models.fold import fold, foldable, for_inference
from assemble.models.onednn import PackedConv2d, PooledMean, can_pack, pack

OURS = {
    "resnet20": ("resnet20", ()),
    "resnet50": ("resnet50", ()),
    "resnet_d, se": ("resnet50", ("resnet_d", "se")),
    "big_little, sk, anti_alias, dropblock": ("resnet50", ("big_little", "sk", "anti_alias", "dropblock")),
    "anti_alias everywhere": ("resnet18", {"anti_alias": {"positions": ["conv", "projection", "max_pool"]}}),
}
TIMM = ("test_resnet", "test_efficientnet", "test_mambaout", "tf_mobilenetv3_small_minimal_100")


def trained_looking(network: nn.Module) -> nn.Module:
    """Statistics and parameters of batch norms that make each matter."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 1.5),
            ):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def images(size: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def assert_same(network: nn.Module, size: int = 64) -> nn.Module:
    network = trained_looking(network).double()
    folded = fold(network, size)
    x = images(size).double()
    torch.testing.assert_close(folded(x), network(x), rtol=1e-9, atol=1e-9)
    return folded


@pytest.mark.parametrize("name", OURS)
def test_ours(name):
    torch.manual_seed(0)
    model, tricks = OURS[name]
    network = create_model(model, tricks, num_classes=11, width=8)
    before = copy.deepcopy(network.state_dict())
    folded = assert_same(network)
    assert norms(network) > norms(folded) == 0
    assert network.state_dict().keys() == before.keys()
    assert not any(parameter.requires_grad for parameter in folded.parameters())


@pytest.mark.parametrize("name", TIMM)
def test_timm(name):
    torch.manual_seed(0)
    assert norms(assert_same(timm.create_model(name, num_classes=11))) == 0


class Odd(nn.Module):
    """One pair that folds, with a bias; and what does not: a convolution read twice, run twice, of new weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.conv4, self.bn4 = timm.layers.ScaledStdConv2d(4, 4, 1), nn.BatchNorm2d(4)  # type: ignore[attr-defined]
        self.last = nn.BatchNorm2d(4, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x))
        y = self.conv2(x)
        x = self.bn2(y) + y
        x = self.bn3(self.conv3(self.conv3(x)))
        return self.last(self.bn4(self.conv4(x))).mean((2, 3))


def test_what_cannot_be_folded_stays():
    torch.manual_seed(0)
    network = Odd()
    nn.init.uniform_(network.last.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    affine = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.affine]
    for module in affine:
        trained_looking(module)
    assert foldable(network, 8) == [("conv1", "bn1")]
    network = network.eval().double()
    x = images(8).double()
    with torch.no_grad():
        torch.testing.assert_close(fold(network, 8)(x), network(x), rtol=1e-9, atol=1e-9)


def test_inference_in_both_precisions():
    torch.manual_seed(0)
    network = trained_looking(create_model("resnet50", ("big_little", "sk", "anti_alias"), num_classes=11, width=8))
    x = images(64, 4)
    with torch.no_grad():
        expected = network(x)
    scale = float(expected.abs().max())
    for dtype, most in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        logits = for_inference(network, dtype, 64)(x)
        assert logits.dtype is torch.float32
        assert not logits.requires_grad
        assert float((logits - expected).abs().max()) < most * scale


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
def test_packed_convolutions_are_the_same_at_any_size():
    torch.manual_seed(0)
    network = trained_looking(create_model("resnet50", ("sk", "anti_alias"), num_classes=11, width=8))
    packed = fold(network, 64).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert can_pack(packed)
    with torch.inference_mode():
        pack(packed)
        assert sum(isinstance(module, PooledMean) for module in packed.modules()) == 16
        assert sum(isinstance(module, PackedConv2d) for module in packed.modules()) == 53 + 2 * 16
        for size, batch in ((64, 2), (96, 3), (64, 2)):
            expected = network(images(size, batch))
            off = (packed(images(size, batch).to(memory_format=torch.channels_last)) - expected).abs().max()
            assert float(off) < 1e-5 * float(expected.abs().max())


def test_other_precisions_are_not_packed():
    assert not can_pack(nn.Conv2d(1, 1, 1).double())
    assert not can_pack(nn.Conv2d(1, 1, 1, device="meta"))
    assert math.isfinite(float(for_inference(create_model("tiny").double(), torch.float64, 32)(images(32)).sum()))
