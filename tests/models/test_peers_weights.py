"""Checkpoints as others write them are taken for what they are."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from assemble.errors import UserError
from assemble.models.weights import read_weights


def network(value: float) -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    for parameter in net.parameters():
        nn.init.constant_(parameter, value)
    return net


RAW, EMA = network(1.0), network(2.0)
OPTIMIZER: dict[str, Any] = {"state": {}, "param_groups": [{"lr": 0.1}]}


def before(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


# As timm/utils/checkpoint_saver.py, torchvision's references/classification/train.py, composer/core/state.py write.
TIMM = {"epoch": 3, "arch": "resnet50", "state_dict": RAW.state_dict(), "optimizer": OPTIMIZER, "version": 2}
TORCHVISION = {
    "model": RAW.state_dict(),
    "optimizer": OPTIMIZER,
    "epoch": 3,
    "args": Namespace(lr=0.1, model="resnet50"),
}
ONE = {
    "plain": RAW.state_dict(),
    "DistributedDataParallel": before("module.", RAW.state_dict()),
    "torch.compile": before("_orig_mod.", RAW.state_dict()),
    "both": before("module._orig_mod.", RAW.state_dict()),
    "timm": {**TIMM, "args": Namespace(model="resnet50")},
    "torchvision": TORCHVISION,
    "Composer": {"state": {"model": before("module.", RAW.state_dict()), "optimizers": {}}, "rng": []},
    "Lightning": {"state_dict": {**before("model.", RAW.state_dict()), "loss.weight": torch.ones(3)}, "epoch": 1},
    "lightning-hydra-template": {"state_dict": before("net.", RAW.state_dict()), "hyper_parameters": {"lr": 0.1}},
    "Lightning, compiled": {"state_dict": before("model._orig_mod.", RAW.state_dict())},
}
BOTH = {
    "timm": {**TIMM, "state_dict_ema": EMA.state_dict()},
    "torchvision": {**TORCHVISION, "model_ema": AveragedModel(EMA).state_dict()},
}


def same(state: dict[str, Tensor], net: nn.Module) -> bool:
    own = net.state_dict()
    return state.keys() == own.keys() and all(torch.equal(state[key], own[key]) for key in own)


@pytest.mark.parametrize("kind", ONE)
def test_one_kind_of_weights(kind: str, tmp_path: Path) -> None:
    torch.save(ONE[kind], tmp_path / "a.pth")
    assert same(read_weights(tmp_path / "a.pth"), RAW)
    with pytest.raises(UserError, match="one kind of weights"):
        read_weights(tmp_path / "a.pth", averaged=True)


@pytest.mark.parametrize("kind", BOTH)
def test_two_kinds_are_told_apart(kind: str, tmp_path: Path) -> None:
    torch.save(BOTH[kind], tmp_path / "a.pth")
    for averaged, net in ((None, EMA), (True, EMA), (False, RAW)):
        assert same(read_weights(tmp_path / "a.pth", averaged), net)


@pytest.mark.parametrize("content", [{}, {"model": 3}, {"state_dict": {}}, {"model": {"a": 1}}, [torch.ones(1)], None])
def test_no_weights(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match="holds no state_dict"):
        read_weights(tmp_path / "a.pth")
