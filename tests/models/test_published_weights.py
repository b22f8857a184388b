"""Weights of torchvision and timm load without renaming, and the padding they were trained with comes along."""

import math

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision

from assemble import create_model
from assemble.models.convert import from_official
from assemble.models.families import spec_of
from assemble.models.layers import MaxPool
from tests.helpers import official
from tricks.resnet_d import ShortcutPool


def randomise_norms(model: torch.nn.Module) -> torch.nn.Module:
    """Batch norm statistics and parameters that differ from their defaults, so that a mix-up shows."""
    g = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.3, 0.9),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
            ):
                with torch.no_grad():
                    tensor.copy_(torch.rand(tensor.shape, generator=g) * (high - low) + low)
    return model.eval()


def same_logits(ours: torch.nn.Module, theirs: torch.nn.Module, size: int) -> None:
    images = torch.randn(2, 3, size, size + 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(images)
        assert official.relative_error(ours(images), expected) < 1e-5


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_torchvision_both_ways(name):
    torch.manual_seed(1)
    theirs = randomise_norms(getattr(torchvision.models, name)(num_classes=7))
    ours = create_model(name, num_classes=7).eval()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    same_logits(ours, theirs, 65)

    ours = randomise_norms(create_model(name, num_classes=7))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    same_logits(ours, theirs, 64)


@pytest.mark.parametrize("size", [64, 75])
def test_timm_resnet50d(size):
    torch.manual_seed(1)
    theirs = randomise_norms(timm.create_model("resnet50d", num_classes=7))
    ours = create_model("resnet50", {"resnet_d": {"pool_stage1": False}}, num_classes=7).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    same_logits(ours, theirs, size)
    official_way = create_model("resnet50", ["resnet_d"], num_classes=7).eval()
    official_way.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(1, 3, size, size)
    with torch.no_grad():
        difference = official.relative_error(official_way(images), theirs(images))
    assert difference > 1e-4, "pool_stage1 changes nothing"


# --- the padding convention travels with the weights


def pools(model: torch.nn.Module) -> list[bool]:
    return [m.tf_padding for m in model.modules() if isinstance(m, MaxPool | ShortcutPool)]


def small(**fields):
    return create_model("resnet50", ["resnet_d"], num_classes=11, width=8, **fields).eval()


def test_loading_official_then_torch_weights_switches_the_padding_and_back():
    model, torch_state = small(), small().state_dict()
    assert pools(model) == [False] * 5
    model.load_state_dict(from_official(model, official.variables("r50_d")))
    assert pools(model) == [True] * 5
    reference = official.load("model_r50_d")
    with torch.no_grad():
        logits = model(official.images(64))
    assert official.relative_error(logits, torch.tensor(reference["logits"])) < 1e-5
    model.load_state_dict(torch_state)
    assert pools(model) == [False] * 5
    assert model.state_dict().keys() == torch_state.keys()
    assert "tf_padding" not in model.state_dict()


@pytest.mark.parametrize("padding", ["torch", "tensorflow"])
@pytest.mark.parametrize("other", ["torch", "tensorflow"])
def test_a_round_trip_keeps_the_padding(tmp_path, padding, other):
    source, target = small(padding=padding), small(padding=other)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    target.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True), strict=True)
    assert pools(target) == [padding == "tensorflow"] * 5
    images = official.images(40)
    with torch.no_grad():
        assert torch.equal(source(images), target(images))


def test_the_padding_travels_inside_another_module(tmp_path):
    outer = torch.nn.Sequential(small())
    outer.load_state_dict(torch.nn.Sequential(small(padding="tensorflow")).state_dict(), strict=True)
    assert pools(outer) == [True] * 5
    outer.load_state_dict(torch.nn.Sequential(small()).state_dict(), strict=True)
    assert pools(outer) == [False] * 5


def test_the_paddings_differ_on_even_sizes():
    torch_way, tf_way = small(), small(padding="tensorflow")
    tf_way.load_state_dict(torch_way.state_dict() | {"tf_padding": torch.tensor(True)})
    images = official.images(64)
    with torch.no_grad():
        assert not torch.allclose(torch_way(images), tf_way(images), rtol=1e-3)


# --- pooling against its definition


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: what lacks for ceil(size / stride) windows, the odd pixel at the far side."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def windows(x, kernel, stride, top, bottom, left, right, fill):
    """(B, C, h, w, kernel * kernel) of the explicitly padded map."""
    x = F.pad(x, (left, right, top, bottom), value=fill)
    return x.unfold(2, kernel, stride).unfold(3, kernel, stride).flatten(-2)


SIZES = [(12, 12), (13, 13), (12, 13), (13, 12), (2, 2), (1, 1), (7, 10)]


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_max_pool(h, w):
    x = torch.randn(2, 3, h, w) - 5  # all but surely negative: zeros as padding would show
    spec = spec_of("resnet18")
    inf = float("-inf")
    assert torch.equal(MaxPool(spec)(x), windows(x, 3, 2, 1, 1, 1, 1, inf).amax(-1))
    tf_way = MaxPool(spec.replace(padding="tensorflow"))(x)
    assert torch.equal(tf_way, windows(x, 3, 2, *same(h, 3, 2), *same(w, 3, 2), inf).amax(-1))
    assert tf_way.shape[-2:] == (math.ceil(h / 2), math.ceil(w / 2))


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_shortcut_pool(h, w):
    x = torch.randn(2, 3, h, w) + 5
    bottom, right = h % 2, w % 2
    zeros = windows(x, 2, 2, 0, bottom, 0, right, 0.0).mean(-1)  # official: explicit zeros, then a VALID average
    torch.testing.assert_close(ShortcutPool(2, tf_padding=True)(x), zeros)
    inside = windows(x, 2, 2, 0, bottom, 0, right, float("nan")).nanmean(-1)
    torch.testing.assert_close(ShortcutPool(2, tf_padding=False)(x), inside)
    # Stride 1: TensorFlow's SAME average leaves out what lies beyond the edge, whatever the convention.
    stride1 = windows(x, 2, 1, 0, 1, 0, 1, float("nan")).nanmean(-1)
    for tf_padding in (True, False):
        torch.testing.assert_close(ShortcutPool(1, tf_padding)(x), stride1)
