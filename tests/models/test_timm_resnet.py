"""Tricks in timm's ResNets do what they do in ours: the same function of the same weights."""

import pytest
import timm
import torch
from torch import nn

from assemble import create_model
from assemble.errors import UserError
from assemble.models.families import spec_of
from tricks.dropblock import DropBlock


def with_weights_of_timm(name, tricks):
    """Return timm's network and ours with the same weights, batch norms off their initial values."""
    torch.manual_seed(0)
    theirs = create_model(f"timm:{name}", tricks, num_classes=5)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.running_var, 0.5, 1.0)
    ours = create_model(name, tricks, num_classes=5, stem="imagenet")
    state = {key.replace(".se.", ".attention."): value for key, value in theirs.state_dict().items()}
    missing = ours.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert not missing.missing_keys
    return theirs, ours


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("tricks", [["se"], ["anti_alias"], ["se", "anti_alias", "dropblock", "dropout"]])
def test_same_function_as_in_our_network(name, tricks):
    theirs, ours = with_weights_of_timm(name, tricks)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(theirs.eval()(images), ours.eval()(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_dropblock_stands_behind_the_same_norms(name, monkeypatch):
    """In training, with the random squares exchanged for something that can be compared."""
    monkeypatch.setattr(DropBlock, "forward", lambda self, x: x * (1 + self.scale / 3))
    theirs, ours = with_weights_of_timm(name, ["dropblock"])
    count = [sum(isinstance(m, DropBlock) for m in network.modules()) for network in (theirs, ours)]
    assert count[0] == count[1] > 0
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(theirs.train()(images), ours.train()(images), rtol=1e-4, atol=1e-4)


def test_squares_are_dropped_and_the_strength_moves():
    network = create_model("timm:resnet18", {"dropblock": {"keep_prob": 0.5}}, num_classes=5).train()
    images = torch.randn(2, 3, 64, 64)
    assert not torch.equal(network(images), network(images))
    assert torch.equal(network.eval()(images), network(images))


def test_state_dict_is_timms():
    tricks = ["dropblock", "anti_alias", "dropout"]
    own = timm.create_model("resnet26d", num_classes=5).state_dict()
    assert set(create_model("timm:resnet26d", tricks, num_classes=5).state_dict()) == set(own)


@pytest.mark.parametrize(
    ("name", "trick", "message"),
    [
        ("seresnet50", "se", "no place for attention that is not its own"),
        ("resnetblur18", "anti_alias", "no strided 3x3 convolution"),
        ("skresnet18", "dropblock", "no place behind the batch norms"),
        ("convnext_atto", "se", "no place for attention"),
        ("resnet18", "sk", "no full 3x3 convolution"),
    ],
)
def test_what_has_no_place_is_refused(name, trick, message):
    with pytest.raises(UserError, match=message):
        create_model(f"timm:{name}", [trick])


def test_places_are_listed():
    assert {"attention", "downsample", "after_norm"} <= set(spec_of("timm:resnet18").places)
    assert "attention" not in spec_of("timm:seresnet50").places
    assert "after_norm" in spec_of("timm:seresnet50").places
