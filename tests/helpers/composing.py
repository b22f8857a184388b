"""Configurations as train.py makes them, each composed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from assemble.config.compose import compose, hydra_for
from assemble.config.selection import selected_tricks
from assemble.schema import Config
from tricks.base import Trick


def composed(*overrides: str) -> DictConfig:
    """Compose with the recipes as they are now: those of a test before it may have had other content."""
    forget_recipes()
    return compose(overrides)


def forget_recipes() -> None:
    """Take back all recipes that were registered in this process."""
    recipes: Any = ConfigStore.instance().repo.get("recipe", {})
    recipes.clear()


@contextmanager
def composing(*arguments: str) -> Iterator[None]:
    """Hydra, ready to compose configurations of this project, with those recipes that the arguments name."""
    forget_recipes()
    with hydra_for(arguments):
        yield


@cache
def configured(recipe: str) -> tuple[Config, tuple[Trick, ...]]:
    """What `train.py recipe=NAME` makes of its configuration. Not to be changed: all tests of a process share it."""
    cfg = composed(f"recipe={recipe}")
    config: Any = OmegaConf.to_object(cfg)
    return config, tuple(selected_tricks(cfg).values())
