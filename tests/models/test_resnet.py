"""The ResNet builder: sizes, initial weights, conventions, layouts, compilation."""

import math
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from assemble.models.catalogue import CATALOGUE
from assemble.models.cost import cost_of
from assemble.models.families import spec_of
from assemble.models.layers import ZeroPadShortcut, projection
from assemble.models.spec import NoPlaceError
from assemble.paths import ROOT
from assemble.planning.resolve import resolve
from tricks import create

EVERYTHING = {
    "big_little": {},
    "sk": {},
    "anti_alias": {},
    "dropblock": {"keep_prob": 0.9},
    "stochastic_depth": {},
}
VARIANTS = [
    ("resnet50", EVERYTHING),
    (
        "resnet50",
        {
            "resnet_d": {},
            "se": {},
            "zero_gamma": {},
            "anti_alias": {"positions": ["conv", "max_pool"], "filter_size": 4},
            "dropblock": {"keep_prob": 0.9},
            "stochastic_depth": {},
        },
    ),
    ("resnet18", {"sk": {}, "anti_alias": {"positions": ["conv", "projection"]}}),
    ("resnet20", {"resnet_d": {}, "se": {}}),
]


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


# --- sizes


@pytest.mark.parametrize(("name", "count"), [("resnet20", 269_722), ("resnet56", 853_018), ("resnet110", 1_727_962)])
def test_cifar_networks_have_the_size_of_the_paper(name, count):
    """0.27 M, 0.85 M and 1.7 M in Table 6 of arXiv 1512.03385; by hand: 10 classes, option A shortcuts."""
    n = (int(name.removeprefix("resnet")) - 2) // 6

    def stage(into, channels):
        first = into * channels * 9 + channels * channels * 9
        return first + (n - 1) * 2 * channels**2 * 9 + 2 * n * 2 * channels

    by_hand = 3 * 16 * 9 + 2 * 16 + stage(16, 16) + stage(16, 32) + stage(32, 64) + 64 * 10 + 10
    assert parameters(create_model(name, num_classes=10)) == by_hand == count


@pytest.mark.parametrize("name", [n for n in CATALOGUE if n.startswith("plain")])
def test_plain_networks_have_no_shortcut(name):
    with torch.device("meta"):
        plain = create_model(name, num_classes=10)
        residual = create_model(name.replace("plain", "resnet"), num_classes=10)
    assert not [key for key in plain.state_dict() if "downsample" in key]
    assert not [m for m in plain.modules() if isinstance(m, ZeroPadShortcut)]
    projections = sum(p.numel() for key, p in residual.named_parameters() if "downsample" in key)
    assert parameters(plain) == parameters(residual) - projections


def test_a_plain_block_does_not_add_its_input():
    model = create_model("plain20", num_classes=10).eval()
    block = model.layer1[0]
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 16, 8, 8)
    assert not block(x).any()
    block.residual = True
    assert torch.equal(block(x), x.relu())


def test_zero_pad_shortcut_is_the_subsampled_input_and_zeros():
    x = torch.randn(2, 16, 7, 8)
    y = ZeroPadShortcut(16, 32, 2)(x)
    assert y.shape == (2, 32, 4, 4)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


@pytest.mark.parametrize(
    ("name", "stem", "size", "last"),
    [
        ("resnet18", "imagenet", 64, 2),
        ("resnet18", "small", 32, 4),
        ("resnet20", None, 32, 8),
        ("resnet20", None, 33, 9),
    ],
)
def test_stems(name, stem, size, last):
    """The ImageNet stem divides by 4 before the stages, the small one not at all."""
    model = create_model(name, num_classes=5, width=8, stem=stem).eval()
    with torch.no_grad():
        features = model.features(torch.zeros(1, 3, size, size))
    assert features.shape[-2:] == (last, last)
    assert model.conv1.kernel_size == ((7, 7) if stem == "imagenet" else (3, 3))


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution():
    block = create_model("resnet50", width=8).layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_an_unknown_model_is_a_user_error_with_a_suggestion():
    with pytest.raises(UserError, match=r"unknown model 'resnett50'. Did you mean 'resnet50'\?.*resnet18"):
        create_model("resnett50")


# --- initial weights and batch norm


def test_official_initialisation():
    """TensorFlow's variance scaling: normal, cut at 2 std of the uncut one, with variance 1 / fan_in; Glorot for fc."""
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=100)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            w, fan_in = module.weight.detach(), module.weight[0].numel()
            assert w.mean().abs() < 4 * math.sqrt(1 / fan_in / w.numel())
            # The sample variance of n draws has a relative standard deviation below sqrt(2 / n).
            assert abs(w.var() * fan_in - 1) < 4 * math.sqrt(2 / w.numel())
            cut = 2 * math.sqrt(1 / fan_in) / 0.87962566103423978
            assert 0.95 * cut < w.abs().max() <= cut * (1 + 1e-6)
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()
    limit = math.sqrt(6 / (512 + 100))
    assert 0.99 * limit < model.fc.weight.abs().max() <= limit
    assert abs(model.fc.weight.var() / (limit**2 / 3) - 1) < 0.02
    assert not model.fc.bias.any()


def test_torchvision_initialisation():
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=100, init="torchvision")
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            n = module.weight.numel()
            assert abs(module.weight.var() * fan_out / 2 - 1) < 5 * math.sqrt(2 / n)
    assert model.fc.weight.abs().max() <= 1 / math.sqrt(512)
    assert model.fc.bias.abs().max() > 0


def test_xavier_initialisation():
    """Uniform, +- sqrt(6 / (fan_in + fan_out)), for convolutions and the classifier."""
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=100, init="xavier")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            area = module.weight[0, 0].numel()
            limit = math.sqrt(6 / area / sum(module.weight.shape[:2]))
            assert 0.99 * limit < module.weight.abs().max() <= limit
    assert not model.fc.bias.any()


def test_composer_initialisation():
    """Kaiming normal by fan-in, gammas uniform in [0, 1), the classifier's bias at -log K; zero gammas stay."""
    torch.manual_seed(0)
    model = create_model("resnet18", ["zero_gamma"], num_classes=100, init="composer")
    zero = [name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.any()]
    assert len(zero) == 8
    assert all(name.endswith("bn2") for name in zero)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in, n = module.weight[0].numel(), module.weight.numel()
            assert abs(module.weight.var() * fan_in / 2 - 1) < 5 * math.sqrt(2 / n)
        if isinstance(module, nn.BatchNorm2d) and name not in zero:
            assert 0 <= module.weight.min() < 0.1
            assert 0.9 < module.weight.max() < 1
    torch.testing.assert_close(model.fc.bias, torch.full((100,), -math.log(100)))


# --- variants


def test_the_network_of_2015_strides_in_its_first_1x1_convolution():
    with torch.device("meta"):
        model = create_model("resnet50_v1")
    strided = {name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)}
    blocks = {f"layer{stage}.0.{conv}" for stage in (2, 3, 4) for conv in ("conv1", "downsample.0")}
    assert strided == {"conv1", *blocks}


def test_narrow_strided_1x1_convolutions_take_the_pixels_first():
    """As projections do, whose test says why; the numbers are the same."""
    torch.manual_seed(0)
    model = create_model("resnet50_v1", width=2, num_classes=3).layer2[0].conv1
    assert model[1].stride == (1, 1)
    x = torch.randn(2, 8, 7, 6)
    torch.testing.assert_close(model(x), F.conv2d(x, model[1].weight, stride=2))


@pytest.mark.parametrize(
    ("name", "tricks", "published"),
    [
        ("resnet50_v1", {}, 3.8),
        ("resnet50", {}, 4.1),
        ("resnet50", {"resnet_d": {"shortcut": False}}, 4.3),
        ("resnet50", {"resnet_d": {"pool_stage1": False}}, 4.3),
    ],
)
def test_published_multiply_adds_of_resnet_a_to_d(name, tricks, published):
    """Bag of Tricks (arXiv 1812.01187), Table 5: 25 M parameters each."""
    cost = cost_of(resolve(create(tricks), spec_of(name)).spec, 224)
    assert cost.macs / 1e9 == pytest.approx(published, rel=0.02)
    assert 25e6 < cost.params < 26e6


@pytest.mark.parametrize(
    ("name", "published"),
    [("resnet18", 1.8), ("resnet34", 3.6), ("resnet50_v1", 3.8), ("resnet101_v1", 7.6), ("resnet152_v1", 11.3)],
)
def test_published_multiply_adds_of_2015(name, published):
    """He et al. 2015 (arXiv 1512.03385), Table 1; with the stride in the 3x3 convolution they are 0.23 more."""
    assert cost_of(spec_of(name), 224).macs / 1e9 == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("tricks", [t for _, t in VARIANTS[:2]])
def test_momentum_and_epsilon_reach_every_batch_norm(tricks):
    with torch.device("meta"):
        model = create_model("resnet50", tricks, width=8, bn_momentum=0.003, bn_eps=2e-4)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) > 52
    assert {(m.momentum, m.eps) for m in norms} == {(0.003, 2e-4)}


# --- layouts, sizes, compilation


@pytest.mark.parametrize(("name", "tricks"), VARIANTS)
def test_odd_sizes_and_channels_last(name, tricks):
    torch.manual_seed(0)
    model = create_model(name, tricks, num_classes=5, width=8).eval()
    for h, w in ((64, 64), (97, 75), (65, 130)):
        images = torch.randn(2, 3, h, w)
        with torch.no_grad():
            logits = model(images)
            assert logits.shape == (2, 5)
            assert logits.isfinite().all()
            last = model.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
        model.to(memory_format=torch.contiguous_format)
        torch.testing.assert_close(last, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tricks", [t for _, t in VARIANTS[:2]])
def test_compiles_without_a_graph_break(tricks):
    torch.manual_seed(0)
    # As few blocks as the tricks take, under a name of which big_little knows no depths: compiled sooner.
    depths = (2, 2, 2, 1) if "big_little" in tricks else (1, 1, 1, 1)
    base = spec_of("resnet50", num_classes=5, width=8).replace(name="short", depths=depths)
    model = resolve(create(tricks), base).spec.build()
    images = torch.randn(2, 3, 64, 64)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    model.train()
    loss = compiled(images).square().sum()
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), model(images))
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"name": ["tiny"]}, "unknown model"),
        ({"stem": "smal"}, "unknown model.stem 'smal'. Did you mean 'small'?"),
        ({"stem": ["small"]}, "unknown model.stem"),
        ({"padding": "tf"}, "unknown model.padding 'tf'. Available: torch, tensorflow"),
        ({"init": "x"}, "unknown model.init 'x'. Available: tensorflow, torchvision, xavier, composer"),
        ({"width": 0}, "model.width must be at least 2 and at most 65536, not 0"),
        ({"width": 8.0}, "model.width must be an integer, not 8.0"),
        ({"num_classes": 0}, "model.num_classes must be at least 1"),
        ({"num_classes": "ten"}, "model.num_classes must be an integer, not 'ten'"),
        ({"num_classes": True}, "model.num_classes must be an integer, not True"),
        ({"bn_eps": -1}, "model.bn_eps must be above 0"),
        ({"bn_eps": float("nan")}, "model.bn_eps must be above 0"),
        ({"bn_momentum": "x"}, "model.bn_momentum must be a number, not 'x'"),
        ({"depths": (1, 1)}, "unknown field of a model 'depths'"),
        ({"block": "basic"}, "unknown field of a model 'block'"),
        ({"widht": 8}, "unknown field of a model 'widht'. Did you mean 'width'?"),
        ({"tricks": "sk"}, 'tricks="sk" is no list: write tricks=["sk"]'),
        ({"tricks": 4}, "tricks=4 is no list of names"),
        ({"tricks": [["sk"]]}, "unknown trick '['sk']'"),
        ({"tricks": {"sk": 4}}, "tricks.sk=4 is no mapping of parameters: write {'sk': {NAME: VALUE}}"),
        ({"tricks": {"sk": {"reduction": 2.5}}}, "tricks.sk.reduction: '2.5' is not an integer"),
        ({"tricks": {"sk": {"reducton": 2}}}, "unknown parameter of trick sk 'reducton'. Did you mean 'reduction'?"),
    ],
)
def test_a_mistake_in_python_is_told_as_on_the_command_line(arguments, line):
    with pytest.raises(UserError) as caught:
        create_model(**{"name": "tiny", **arguments})
    assert str(caught.value).startswith(line)


def test_every_field_that_is_offered_is_taken():
    with pytest.raises(UserError) as caught:
        create_model("tiny", nosuch=1)
    offered = str(caught.value).partition("Available: ")[2].split(", ")
    values = {"num_classes": 3, "width": 4, "stem": "imagenet", "bn_momentum": 1, "bn_eps": 1e-3}
    values |= {"padding": "tensorflow", "init": "torchvision", "image_size": 32}
    assert set(offered) == set(values)
    assert create_model("tiny", **values)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


# --- the strided projection of few channels


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("channels", [8, 15, 16, 24])
def test_projection_is_the_strided_convolution(channels, channels_last):
    """Values, and gradients of image and weight, against the convolution in float64."""
    shortcut = projection(spec_of("tiny"), channels, 32, 2)
    assert [name for name, _ in shortcut.named_parameters()] == ["0.weight", "1.weight", "1.bias"]
    conv = shortcut.get_submodule("0")
    x = torch.randn(3, channels, 9, 8, generator=torch.Generator().manual_seed(0))
    x64, w64 = x.double().requires_grad_(), conv.weight.detach().double().requires_grad_()
    if channels_last:
        shortcut, x = shortcut.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    shortcut[-1] = nn.Identity()
    found, expected = shortcut(x.requires_grad_()), nn.functional.conv2d(x64, w64, stride=2)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    found.backward(grad)
    expected.backward(grad.double())
    torch.testing.assert_close(found, expected.float())
    torch.testing.assert_close(x.grad, x64.grad.float())
    torch.testing.assert_close(conv.weight.grad, w64.grad.float())


BATCH_OF_3 = """
import torch
from assemble import create_model
torch.set_num_threads(2)
model = create_model("tiny", num_classes=10).to(memory_format=torch.channels_last)
for _ in range(20):
    model(torch.randn(3, 3, 32, 32).to(memory_format=torch.channels_last)).sum().backward()
"""


@pytest.mark.process
def test_three_images_of_the_default_model():
    """A segmentation fault of oneDNN on CPUs with AVX-512 and two threads; in its own process, because of that."""
    patient = os.environ | {"OMP_WAIT_POLICY": "passive"}  # spinning takes a minute on busy cores
    done = subprocess.run([sys.executable, "-c", BATCH_OF_3], cwd=ROOT, env=patient, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_typo_is_no_missing_place():
    """A place that a family lacks is the user's matter, a misspelt attribute the programmer's."""
    spec = spec_of("mobilenet_v1")
    with pytest.raises(NoPlaceError, match="no full 3x3 convolution"):
        _ = spec.operator
    with pytest.raises(AttributeError, match="has no attribute 'widht'") as typo:
        _ = spec.widht
    assert not isinstance(typo.value, UserError)
    with pytest.raises(TypeError):
        spec.replace(widht=8)
