"""What a plan refuses before anything is built."""

from dataclasses import replace
from typing import Any

import pytest

from assemble.errors import UserError
from assemble.planning.plan import make_plan
from assemble.schema import Config


@pytest.mark.parametrize(
    ("group", "changes", "line"),
    [
        ("data", {"mean": (1.0, 2.0)}, "data.mean must be 3 numbers, not [1.0, 2.0]"),
        ("data", {"std": (1.0, 2.0, 3.0, 4.0)}, "data.std must be 3 numbers"),
        ("data", {"crop_scale": ()}, "data.crop_scale must be 2 rising numbers, each above 0 and at most 1, not []"),
        ("data", {"crop_ratio": (1.0,)}, "data.crop_ratio must be 2 rising numbers"),
        ("data", {"mean": (float("nan"), 0.0, 0.0)}, "data.mean must be 3 numbers, not [nan"),
        ("data", {"std": (0.0, 1.0, 1.0)}, "data.std must be 3 numbers, each above 0"),
        ("data", {"flip": 2.0}, "data.flip must be at least 0 and at most 1, not 2"),
        ("data", {"name": "imagefolder", "root": "/nosuch"}, "data.root=/nosuch is not a folder"),
        ("optim", {"nesterov": True, "momentum": 0.0}, "optim.nesterov=true needs optim.momentum above 0"),
        ("optim", {"lr": float("inf")}, "optim.lr must be above 0, not inf"),
        ("optim", {"weight_decay": float("inf")}, "optim.weight_decay must be at least 0, not inf"),
        ("optim", {"gamma": float("nan")}, "optim.gamma must be above 0"),
        ("optim", {"milestones": (5.0, 3.0)}, "optim.milestones=[5.0, 3.0] must be rising"),
        ("optim", {"milestones": (-1.0,)}, "optim.milestones=[-1.0] must be rising numbers of epochs above 0"),
        ("model", {"bn_eps": -1.0}, "model.bn_eps must be above 0"),
        ("model", {"bn_momentum": 0.0}, "model.bn_momentum must be above 0"),
        ("model", {"width": 0}, "model.width must be at least 2"),
        ("model", {"width": 10**20}, "model.width must be at least 2 and at most 65536"),
        ("model", {"num_classes": 0}, "model.num_classes=0 is too few"),
        ("model", {"checkpoint": ""}, "model.checkpoint is empty"),
        ("model", {"freeze": -1}, "model.freeze must be at least 0, or null, not -1"),
        ("model", {"freeze": 4}, "model.freeze=4: ResNet has 3 stages: freeze fewer"),
        ("model", {"freeze": 1, "restore_statistics": False}, "model.freeze=1 keeps batch norm's statistics"),
        ("eval", {"ece_bins": 10**9}, "eval.ece_bins must be at least 1 and at most 10000"),
        (None, {"seed": 2**64}, "seed must be at least 0 and below"),
        (None, {"output_dir": ""}, "output_dir is empty"),
    ],
)
def test_values_without_a_meaning(group: str | None, changes: dict[str, Any], line: str) -> None:
    """Also where only an explanation is wanted."""
    cfg = Config()
    changes = {group: replace(getattr(cfg, group), **changes)} if group else changes
    with pytest.raises(UserError) as caught:
        make_plan(replace(cfg, **changes), [], need_data=False)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize("changes", [{"new_head": True}, {"restore_statistics": False}, {"freeze": 0}])
def test_weights_to_start_from_may_be_missing_where_none_were_named(changes: dict[str, Any]) -> None:
    cfg = Config()
    cfg.model = replace(cfg.model, **changes)
    make_plan(cfg, [], need_data=False)
    with pytest.raises(UserError, match=r"name them with model\.checkpoint=FILE"):
        make_plan(cfg, [])
    cfg.model.checkpoint = "nosuch.ckpt"
    with pytest.raises(UserError, match=r"model\.checkpoint: there is no weights file nosuch\.ckpt"):
        make_plan(cfg, [])


def test_images_may_be_missing_where_none_were_named() -> None:
    cfg = Config()
    cfg.data.name = "imagefolder"
    assert make_plan(cfg, [], need_data=False).data is None
    with pytest.raises(UserError, match=r"data=imagefolder needs data\.root=DIR"):
        make_plan(cfg, [])
