"""Norm, activation, global pool and head of our own networks can be exchanged, whatever else tricks changed in them."""

from functools import partial

import pytest
import torch
from torch import nn

from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.models.fold import fold
from assemble.models.weights import load_weights
from assemble.planning.resolve import resolve
from tricks import create


def group_norm(spec, channels):
    return nn.GroupNorm(1, channels)


class MaxOverMap(nn.Module):
    def forward(self, x):
        return x.amax((2, 3))


class Cosine(nn.Linear):
    """Logits by angle alone."""

    def forward(self, input):
        return nn.functional.linear(nn.functional.normalize(input), nn.functional.normalize(self.weight))


CASES = {
    "resnet18": {},
    "resnet50": {"resnet_d": {}, "sk": {}, "big_little": {}, "anti_alias": {}, "zero_gamma": {}, "dropblock": {}},
    "mobilenet_v1": {"se": {}, "anti_alias": {}},
}


@pytest.mark.parametrize("name", CASES)
def test_every_norm_and_activation_is_exchanged(name):
    spec = resolve(create(CASES[name]), spec_of(name, width=8, num_classes=5, image_size=64)).spec
    network = spec.replace(norm=group_norm, activation=nn.SiLU, global_pool=MaxOverMap, head=Cosine).build()
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
    inside = {n for n, m in network.named_modules() if isinstance(m, nn.ReLU | nn.ReLU6)}
    assert all("attention" in name for name in inside), inside
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logits = network(images)
    assert logits.shape == (2, 5)
    assert logits.abs().max() <= 1 + 1e-6
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters() if p.shape != (5,))  # a cosine has no bias


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v1"])
def test_parts_are_exchanged_one_at_a_time_against_a_network_put_together_by_hand(name):
    spec = spec_of(name, width=8, num_classes=5, image_size=32)
    torch.manual_seed(0)
    plain = spec.build().eval()
    exchanged = spec.replace(global_pool=MaxOverMap, head=Cosine).build().eval()
    exchanged.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 32, 32)
    features = plain.features(images).amax((2, 3))
    weight = plain.get_classifier().weight
    cosine = nn.functional.cosine_similarity(features[:, None], weight[None], dim=2)
    torch.testing.assert_close(exchanged(images), cosine)


def test_weights_fold_and_layers_of_a_network_with_another_activation(tmp_path):
    spec = spec_of("resnet18", width=8, num_classes=5, image_size=32).replace(activation=nn.GELU)
    torch.manual_seed(0)
    network = spec.build().eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(fold(network, 32)(images), network(images), rtol=1e-4, atol=1e-5)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    other = spec.build().eval()
    load_weights(other, str(tmp_path / "w.pt"))
    assert torch.equal(other(images), network(images))


def test_a_norm_without_gamma_cannot_begin_at_zero():
    spec = resolve(create({"zero_gamma": {}}), spec_of("resnet18", width=8)).spec
    with pytest.raises(UserError, match="InstanceNorm2d has no gamma"):
        spec.replace(norm=lambda spec, channels: nn.InstanceNorm2d(channels)).build()


@pytest.mark.parametrize("place", ["norm", "activation", "global_pool", "head"])
def test_networks_of_timm_have_no_such_place(place):
    spec = spec_of("efficientnet_b0", num_classes=5)
    with pytest.raises(UserError, match="exchange"):
        spec.replace(**{place: partial(nn.Identity)})
