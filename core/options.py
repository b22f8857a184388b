"""What the smaller programs share with train.py: key=value arguments, and a configuration composed from them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from core.cli import check
from core.errors import UserError
from core.names import ROOT, suggest

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

T = TypeVar("T")


def read_options(kind: type[T], argv: Sequence[str], usage: str, network: bool = True) -> tuple[T, list[str]]:
    """The program's own options, and the arguments that are train.py's.

    Args:
        kind: a dataclass; ``key=value`` sets its field, of the field's type.
        argv: without the program's name. ``--help`` prints ``usage`` and exits.
        network: whether the program takes arguments of train.py at all.

    Raises:
        UserError: an unknown option, or a required one (without a default) is missing.
        omegaconf's: a value of another type, which `core.main.one_line_errors` explains.
    """
    import yaml
    from omegaconf import OmegaConf

    from conf.schema import Config

    if {"-h", "--help"} & set(argv):
        print(usage.strip())
        raise SystemExit(0)
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    known = [*fields, "recipe", *(field.name for field in dataclasses.fields(Config))] if network else fields
    own: dict[str, Any] = {}
    others = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        if equals and key in fields:
            own[key] = yaml.safe_load(value) if value[:1] == "[" or value == "null" else value
        elif not equals or re.split(r"[.@/]", key.lstrip("+~"))[0] in known[len(fields) :]:
            others.append(argument)
        else:
            raise UserError(suggest("option", key, known))
    config = OmegaConf.merge(OmegaConf.structured(kind), own)
    for name in fields:
        if OmegaConf.is_missing(config, name):
            raise UserError(f"{name} is not set: give it as {name}=...; --help says more")
    options: Any = OmegaConf.to_object(config)
    return options, others


def check_network(overrides: Sequence[str], sweep: bool = False) -> list[str]:
    """Check arguments of train.py given to another program; returns them with ``data=imagenet`` where none is chosen.

    Raises:
        UserError: anything misspelt, unknown or contradictory; several values where ``sweep`` is false.
    """
    check(["-m", *overrides] if sweep else overrides)
    keys = {override.partition("=")[0] for override in overrides}
    return list(overrides) if {"recipe", "data"} & keys else ["data=imagenet", *overrides]


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of the values of ``key=a,b``, as ``-m`` of train.py makes them."""
    with _hydra() as configs:
        return grid(overrides, configs)


def grid(overrides: Sequence[str], configs: ConfigLoader) -> list[list[str]]:
    """The overrides of each combination of the swept values, in the order of Hydra's own sweeper."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=configs)
    return BasicSweeper.split_arguments(parser.parse_overrides(list(overrides)), None)[0]


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration that train.py would make of these arguments. Imports torch, through the tricks."""
    import hydra

    with _hydra():
        return hydra.compose("config", overrides=list(overrides))


@contextmanager
def _hydra() -> Iterator[ConfigLoader]:
    """Hydra with all that train.py knows."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    _register_once()
    GlobalHydra.instance().clear()  # of a sweep in this process, whose report asks
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        yield GlobalHydra.instance().config_loader()


@cache
def _register_once() -> None:
    """All recipes take half a second, and many configurations may be composed."""
    from core.register import register

    register()
