"""MobileNet-V1 against timm's, the published counts, and what the tricks find in it."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from assemble.models.cost import cost_of
from assemble.models.families import spec_of
from assemble.models.fold import fold
from assemble.planning.resolve import resolve
from assemble.schema import OptimConfig
from lit_modules.optim import build_optimizer
from tricks import create


def seeded(model: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics and gammas that a batch norm could not ignore."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return model.eval()


def images(size: int, n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_published_parameters_and_multiply_adds():
    """arXiv 1704.04861, Table 4: 4.2 M and 569 M (without the classifier's bias: timm's 4,231,976 has it)."""
    cost = cost_of(spec_of("mobilenet_v1"), 224)
    assert cost.params == 4_231_976
    assert cost.macs / 1e6 == pytest.approx(569, abs=0.5)


def test_published_parameters_with_attention():
    """arXiv 1709.01507, Table 3: 4.7 M and 572 M with r = 16, in our place for it."""
    cost = cost_of(resolve(create(["se"]), spec_of("mobilenet_v1")).spec, 224)
    assert cost.params == pytest.approx(4.7e6, abs=0.05e6)
    assert cost.macs / 1e6 == pytest.approx(572, abs=3)


def test_epsilon_is_timms_and_that_of_the_authors_code_a_field_away():
    """1e-5; tensorflow/models, slim/nets/mobilenet_v1.py, and Keras' BatchNormalization have 1e-3."""
    for given, expected in (({}, 1e-5), ({"bn_eps": 1e-3}, 1e-3)):
        reference = seeded(timm.create_model("mobilenetv1_100", num_classes=7, **given))
        ours = create_model("mobilenet_v1", num_classes=7, **given).eval()
        assert {m.eps for m in ours.modules() if isinstance(m, nn.BatchNorm2d)} == {expected}
        ours.load_state_dict(reference.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(ours(images(64)), reference(images(64)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("padding", "timms"), [("torch", ""), ("tensorflow", "same")])
@pytest.mark.parametrize("size", [64, 75])
def test_timms_weights_give_timms_logits(padding, timms, size):
    reference = seeded(timm.create_model("mobilenetv1_100", num_classes=7, pad_type=timms))
    ours = create_model("mobilenet_v1", num_classes=7, padding=padding).eval()
    state = reference.state_dict()
    if padding == "tensorflow":
        state["tf_padding"] = torch.tensor(True)
    ours.load_state_dict(state)
    with torch.no_grad():
        expected = reference(images(size))
        torch.testing.assert_close(ours(images(size)), expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def test_the_padding_travels_with_the_weights():
    trained = seeded(create_model("mobilenet_v1", num_classes=3, width=4, padding="tensorflow"))
    other = create_model("mobilenet_v1", num_classes=3, width=4).eval()
    assert not torch.allclose(other(images(64)), trained(images(64)))
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(images(64)), trained(images(64)))


@pytest.mark.parametrize("padding", ["torch", "tensorflow"])
@pytest.mark.parametrize("size", [64, 75])
def test_every_norm_folds(padding, size):
    model = seeded(create_model("mobilenet_v1", ["se"], num_classes=3, width=4, padding=padding)).double()
    folded = fold(model, size)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(folded(images(size).double()), model(images(size).double()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("fields", "side"), [({}, 2), ({"image_size": 64}, 4), ({"stem": "small"}, 4)])
def test_stride(fields, side):
    spec = spec_of("mobilenet_v1", width=4, **fields)
    features = spec.build().features(images(64))
    assert features.shape[-1] == side == 64 // spec.stride


def test_a_blur_halves_what_the_strided_convolution_did():
    model = create_model("mobilenet_v1", ["anti_alias"], width=4)
    assert model.features(images(64)).shape[-2:] == (2, 2)
    strides = {m.stride for m in model.blocks.modules() if isinstance(m, nn.Conv2d)}
    assert strides == {(1, 1)}


def test_squares_are_dropped_in_the_last_two_stages():
    model = create_model("mobilenet_v1", {"dropblock": {"keep_prob": 0.5}}, width=4)
    stages = {n.split(".")[1]: m.scale for n, m in model.named_modules() if type(m).__name__ == "DropBlock"}
    assert stages == {"3": 0.25, "4": 1.0}
    assert sum(type(m).__name__ == "DropBlock" for m in model.modules()) == 2 * (6 + 2)


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        ("sk", r"trick sk finds no place in mobilenet_v1 \(no full 3x3 convolution in its blocks\): drop it"),
        ("resnet_d", r"trick resnet_d finds no place in mobilenet_v1 \(no stem"),
        ("big_little", r"trick big_little finds no place in mobilenet_v1 \(no max-pool behind the stem"),
        ("stochastic_depth", "stochastic_depth needs shortcuts .*: mobilenet_v1 has none"),
        ("zero_gamma", "zero_gamma needs shortcuts: mobilenet_v1 has none"),
    ],
)
def test_tricks_without_a_place_are_refused(trick, reason):
    with pytest.raises(UserError, match=reason):
        create_model("mobilenet_v1", [trick])


def test_trains_a_step_with_layer_decay_and_reloads():
    tricks = {"se": {"reduction": 2}, "dropblock": {"keep_prob": 0.9}, "anti_alias": {}}
    torch.manual_seed(0)
    model = create_model("mobilenet_v1", tricks, num_classes=5, width=8)
    optimizer = build_optimizer(model, OptimConfig(layer_decay=0.5, lr=1.0))
    rates = sorted({round(group["lr"] * 2**15) for group in optimizer.param_groups})
    assert rates == [2**i for i in range(1, 16)]  # stem, 13 blocks, classifier
    loss = F.cross_entropy(model(images(64, 4)), torch.arange(4))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    optimizer.step()
    again = create_model("mobilenet_v1", tricks, num_classes=5, width=8)
    again.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(images(64)), again.eval()(images(64)))
