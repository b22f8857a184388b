"""Configurations as train.py makes them, each composed once."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from assemble.config.compose import compose
from assemble.config.selection import selected_tricks
from assemble.schema import Config
from tricks.base import Trick


def composed(*overrides: str) -> DictConfig:
    """Compose with Hydra knowing no recipe but those that the overrides name, since it copies all that it knows."""
    recipes: Any = ConfigStore.instance().repo.get("recipe", {})
    recipes.clear()
    return compose(overrides)


@cache
def configured(recipe: str) -> tuple[Config, tuple[Trick, ...]]:
    """What `train.py recipe=NAME` makes of its configuration. Not to be changed: all tests of a process share it."""
    cfg = composed(f"recipe={recipe}")
    config: Any = OmegaConf.to_object(cfg)
    return config, tuple(selected_tricks(cfg).values())
