"""How well a network recognises augmented images that were kept from it, against a loop over them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from assemble.data.sampler import rng_of
from assemble.data.sources import open_source
from assemble.data.train_share import left_out
from assemble.runs.result import yaml_text
from assemble.scoring.density import Child
from assemble.scoring.trained import open_trained
from tests.helpers.small_run import small_config, small_plan, train
from tricks import create


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*smaller than the logging interval", "ignore:.*LeafSpec"
)
def test_accuracy_on_the_images_left_out(tmp_path: Path) -> None:
    cfg = small_config(epochs=3)
    cfg.trainer.limit_train_batches = 1.0
    cfg.data.train_share, cfg.data.label_offset = 0.5, 1
    torch.manual_seed(0)
    train(small_plan(cfg=cfg), tmp_path)
    config: Any = OmegaConf.to_container(OmegaConf.structured(cfg), enum_to_str=True)
    (tmp_path / "config.yaml").write_text(yaml_text(config), encoding="utf-8")
    child = Child(cfg, tmp_path / "last.ckpt")

    whole = open_source(replace(cfg.data, train_share=1.0))
    rest = left_out(whole, cfg.data)
    network = open_trained(str(tmp_path / "last.ckpt"))
    tops = []
    for policy in ([[["Rotate", 0, 0]]], [[["Invert", 1, 0]]]):
        made: Any = create({"autoaugment": {"policy": policy}})
        (trick,) = made
        right = 0
        for i in range(len(rest.labels)):
            rng = rng_of(7, 0, 0, i)
            image = trick.augment(rest.load(i, lambda p, rng=rng: whole.train_crop(p, rng, 16)), rng)
            images = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
            right += int(network(images).argmax()) == rest.labels[i] + 1
        tops.append(child.top1(trick, seed=7))
        assert tops[-1] == pytest.approx(100 * right / len(rest.labels), abs=0.2)  # rounding in larger batches
    assert tops[0] > 2 * tops[1]  # it has seen no inverted digit
