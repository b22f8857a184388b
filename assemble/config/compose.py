"""Configurations composed as train.py composes them, from within Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from assemble.paths import CONF

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Return every combination of the values of ``key=a,b``, as ``-m`` of train.py makes them."""
    with hydra_for(overrides) as configs:
        return expand_sweep(overrides, configs)


def expand_sweep(overrides: Sequence[str], configs: ConfigLoader) -> list[list[str]]:
    """Return the overrides of each combination of the swept values, in the order of Hydra's own sweeper."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=configs)
    return BasicSweeper.split_arguments(parser.parse_overrides(list(overrides)), None)[0]


def compose(overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration that train.py would make of these arguments. Imports torch, through the tricks."""
    import hydra

    with hydra_for(overrides):
        return hydra.compose("config", overrides=list(overrides))


@contextmanager
def hydra_for(overrides: Sequence[str]) -> Iterator[ConfigLoader]:
    """Set up Hydra with all that train.py knows, but of the recipes only those that the overrides can mean."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from assemble.config.groups import use_plugins
    from assemble.config.register import meant, register_plugins, register_recipes

    use_plugins(OverridesParser.create().parse_overrides(list(overrides)))
    _register_once()
    register_recipes(meant(overrides))
    register_plugins(overrides)
    GlobalHydra.instance().clear()  # of a sweep in this process, whose report asks
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield GlobalHydra.instance().config_loader()


@cache
def _register_once() -> None:
    """Register all but the recipes.

    They would take half a second, and as much again of each configuration composed.
    """
    from assemble.config.register import register

    register(())
