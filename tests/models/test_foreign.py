"""Networks of the user's own, by ``model._target_``, and timm's keywords, by ``model.args``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from assemble.config.compose import compose
from assemble.data.sources import open_source
from assemble.errors import UserError
from assemble.models.cost import cost_of
from assemble.models.families import spec_of
from assemble.models.weights import load_weights, named_as
from assemble.planning.resolve import resolve
from assemble.runs.identity import plain_config, run_id
from assemble.schema import DataConfig
from assemble.scoring.rebuild import rebuild
from tests.helpers.plugins import fresh, write
from tricks import create

NETS = '''
import torch
from torch import nn

class Net(nn.Module):
    """Pooled pixels, and a linear layer."""

    places = ("attention",)

    def __init__(self, num_classes, width=4, attention=None):
        super().__init__()
        rates = [x.item() for x in torch.linspace(0, 1, 3)]  # values, which the meta device has not
        self.conv = nn.Conv2d(3, width, 3)
        self.attention = attention(width) if attention else nn.Identity()
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.attention(self.conv(x)).mean((2, 3)))

    def get_classifier(self):
        return self.head

class Feature(nn.Module):
    """No logits."""

    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x)

class Placed(Net):
    places = ("attentoin",)

class Silent(nn.Module):
    def __init__(self, outputs):
        super().__init__()

def nothing(num_classes):
    return None

def broken(num_classes):
    raise KeyError("inner")

class Plain:
    pass

VALUE = 3
'''
SETS = """
from assemble.data.digits import digits

def birds(cfg, upside_down=False):
    source = digits(cfg)
    return source

def nothing(cfg):
    return []
"""


@pytest.fixture(autouse=True)
def mine(tmp_path):
    with fresh(write(tmp_path / "mine", nets=NETS, sets=SETS, broken="import nosuch_package\n")):
        yield


def net(target: str = "mine.nets.Net", **fields):
    return spec_of(target.rpartition(".")[2], num_classes=5, target=target, **fields)


def test_it_is_built_with_its_arguments():
    network = net(args={"width": 8}).build()
    assert network(torch.zeros(2, 3, 9, 9)).shape == (2, 5)
    assert network.conv.out_channels == 8


def test_its_cost_is_counted_though_it_wants_values():
    torch.manual_seed(1)
    cost, drawn = cost_of(net(), 9), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))  # nothing of the run's was drawn for it
    assert cost.params == 4 * 27 + 4 + 4 * 5 + 5
    assert cost.macs == 4 * 27 * 7 * 7 + 20


def test_tricks_find_the_places_that_it_declares():
    network = resolve(create({"se": {"reduction": 2}, "dropout": {}}), net()).spec.build()
    assert type(network.attention).__name__ == "SqueezeExcitation"
    assert network.train()(torch.ones(2, 3, 9, 9)).shape == (2, 5)
    recipe = resolve(create(["se", "mixup"]), net())
    assert [step.places for step in recipe.steps] == [("attention",)]
    for trick, line in (("resnet_d", "trick resnet_d finds no place in Net"), ("stochastic_depth", "Net has none")):
        with pytest.raises(UserError, match=line):
            resolve(create([trick]), net())


def test_without_a_classifier_of_timms_there_is_no_place_before_it():
    with pytest.raises(UserError, match="trick dropout finds no place in Feature"):
        resolve(create(["dropout"]), net("mine.nets.Feature"))


def test_a_run_of_it_is_named_by_it_and_can_be_rebuilt():
    cfg = compose(["model._target_=mine.nets.Net", "model.args.width=8", "+tricks=[se]", "tricks.se.reduction=2"])
    assert run_id(cfg).startswith("Net-digits-se-s0-")
    other = compose(["model._target_=mine.nets.Net", "model.args={width:6}", "+tricks=[se]", "tricks.se.reduction=2"])
    assert run_id(cfg) != run_id(other)
    network = rebuild(plain_config(cfg), 10)
    assert network.conv.out_channels == 8
    assert network.attention.fc1.out_channels == 4


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("mine.nets.VALUE", "model VALUE is 3, and neither a torch.nn.Module nor a function"),
        ("mine.nets.Plain", r"model Plain is <class 'mine\.nets\.Plain'>, and neither"),
        ("mine.nets", r"model nets is <module 'mine\.nets'.*, and neither"),
        ("mine.nets.Nte", r"model\._target_=mine\.nets\.Nte: mine\.nets has no 'Nte', so there is no"),
        (
            "nosuch.Net",
            r"model\._target_=nosuch\.Net: .* cannot be imported \(ModuleNotFoundError: No module named 'nosuch'",
        ),
        ("mine.broken.Net", "cannot be imported .*nosuch_package"),
        ("subprocess.run", "subprocess is Python's own, .*: name a class or function of a package"),
        ("mine.nets.nothing", r"nothing makes a NoneType, and no torch\.nn\.Module"),
        ("mine.nets.broken", "broken cannot be built with .*KeyError: 'inner'"),
        ("mine.nets.Silent", "Silent cannot be called with num_classes .*it must take num_classes"),
        ("mine.nets.Placed", r"Placed\.places has 'attentoin', which is no place"),
        ("mine.nets.Feature", r"Feature: images \(1, 3, 9, 9\) become \(1, 4, 7, 7\), and not logits \(1, 5\)"),
    ],
)
def test_what_is_no_network_is_one_line(target, line):
    with pytest.raises(UserError, match=line):
        net(target).check_size(9)


def test_arguments_that_it_does_not_take():
    with pytest.raises(UserError, match=r"Net cannot be called with num_classes, wdith.* \(got an unexpected keyword"):
        net(args={"wdith": 8}).build()
    with pytest.raises(UserError, match=r"Net has no width to choose: leave model\.width out \(it takes model\.args"):
        net(width=8)
    with pytest.raises(UserError, match="resnet18 has no args to choose"):
        spec_of("resnet18", args={"width": 8})


def test_weights_of_a_network_in_one_layer_come_back_under_its_names(tmp_path):
    """Reading takes ``net.`` for what wraps the network."""

    def wrapped() -> nn.Module:
        return nn.ModuleDict({"net": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))})

    one, two = wrapped(), wrapped()
    torch.save({"state_dict": {f"model.{key}": value for key, value in one.state_dict().items()}}, tmp_path / "w.ckpt")
    load_weights(two, tmp_path / "w.ckpt")
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
    assert named_as({"0.weight": torch.ones(1)}, {"0.weight": torch.ones(1)}).keys() == {"0.weight"}


# --- data


def test_data_of_the_users_own():
    cfg = DataConfig(_target_="mine.sets.birds", args={"upside_down": True})
    assert len(open_source(cfg).train.labels) == len(open_source(DataConfig()).train.labels)
    named = plain_config(compose(["data._target_=mine.sets.birds", "data.args.upside_down=true"]))
    assert named["data"]["args"] == {"upside_down": True}
    for changes, line in (
        ({"args": {"season": 1}}, r"data\._target_=mine\.sets\.birds cannot be opened \(TypeError: .*season"),
        ({"_target_": "mine.sets.nothing", "args": {}}, r"returns a list, and no Source"),
        ({"_target_": "mine.nets.VALUE"}, "is a int: name a function|is a int, and no function"),
        ({"_target_": "mine.sets.bird"}, "mine.sets has no 'bird'"),
        ({"_target_": None}, r"data=digits takes no data\.args"),
    ):
        with pytest.raises(UserError, match=line):
            open_source(replace(cfg, **changes))


# --- timm's keywords


def test_timms_keywords_reach_timm():
    def timm(**args):
        return spec_of("timm:convnext_atto", num_classes=5, args=args).build()

    plain, network = timm(), timm(drop_path_rate=0.5, act_layer="relu")
    rates = [m.drop_prob for m in network.modules() if type(m).__name__ == "DropPath"]
    assert max(rates) == 0.5
    assert not [m for m in plain.modules() if type(m).__name__ == "DropPath"]
    assert [m for m in network.modules() if isinstance(m, nn.ReLU)]
    assert not [m for m in plain.modules() if isinstance(m, nn.ReLU)]


def test_timms_keywords_that_cannot_be():
    spec = spec_of("timm:convnext_atto", num_classes=5, args={"drop_path_rate": 0.5})
    with pytest.raises(UserError, match=r"model\.args\.drop_path_rate and a trick both change the branch"):
        resolve(create(["stochastic_depth"]), spec)
    with pytest.raises(UserError, match=r"timm cannot build resnet10t with \{'nonsense': 1\}"):
        spec_of("timm:resnet10t", args={"nonsense": 1}).check_size(32)
    with pytest.raises(UserError, match="cannot take images of 32x32 pixels"):
        spec_of("timm:resnet10t", args={"in_chans": 1}).check_size(32)
    with pytest.raises(UserError, match=r"model\.num_classes=K"):
        spec_of("timm:resnet10t", args={"num_classes": 1})


def test_keywords_are_in_the_runs_hash():
    names = {
        run_id(compose(["model=timm", "model.name=resnet10t", *more])) for more in ([], ["model.args.act_layer=gelu"])
    }
    assert len(names) == 2
    assert all(Path(name).name.startswith("resnet10t-digits-plain") for name in names)
