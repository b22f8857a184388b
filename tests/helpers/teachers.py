"""Checkpoints of networks that were never trained, as a run would leave them."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from assemble.planning.plan import make_plan
from assemble.runs.build import build_module
from assemble.schema import Config
from lit_modules.classifier import Classifier
from tricks import create


def small(**data: Any) -> Config:
    """Digits at 16 pixels, neither moved nor mirrored."""
    cfg = Config()
    cfg.data.image_size, cfg.data.crop_pad, cfg.data.flip = 16, 0, 0.0
    cfg.data.mean, cfg.data.std = (77.0, 76.0, 75.0), (82.0, 81.0, 80.0)
    for key, value in data.items():
        setattr(cfg.data, key, value)
    return cfg


def checkpoint(
    path: Path, cfg: Config | None = None, tricks: dict[str, Any] | None = None, classes: list[str] | None = None
) -> Classifier:
    """Write a checkpoint of the configured network, with weights and statistics drawn; returns its module."""
    cfg, tricks = cfg or small(), tricks or {}
    module = build_module(make_plan(cfg, create(tricks))).eval()
    for value in module.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.2, 1.0)
    config: Any = OmegaConf.to_container(OmegaConf.structured(cfg), enum_to_str=True)
    named = {} if classes is None else {"classes": classes}
    torch.save({"state_dict": dict(module.state_dict()), "config": {**config, "tricks": tricks, **named}}, path)
    return module
