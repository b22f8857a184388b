"""What can be named on the command line, found without importing torch, so that typos are answered at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from assemble import plugins
from assemble.models.catalogue import CATALOGUE
from assemble.paths import CONF, RECIPES, plain_files, title
from assemble.yaml_files import read_yaml
from tricks import trick_names

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


@cache
def recipe_names() -> dict[str, str]:
    """Return recipe name -> the first comment line of its YAML file."""
    files = [f for f in plain_files(RECIPES, "*.yaml") if not f.name.startswith("_")]  # those are parents alone
    return {f.stem: title(f) for f in sorted(files, key=lambda f: in_order(f.stem))}


def in_order(name: str) -> list[tuple[str, int]]:
    """Return what names are sorted by so that resnet20 comes before resnet101."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D+)(\d*)", name)]


def recipe_file(name: str) -> Path | None:
    """Return a recipe's file, be it a parent alone; one of ``--config-dir`` wins, as in Hydra. None: there is none."""
    own = [file for file in config_dir_files() if (file.parent.name, file.stem) == ("recipe", name)]
    file = own[0] if own else RECIPES / f"{name}.yaml"
    return file if file.is_file() else None


def model_names() -> dict[str, str]:
    """Return model name -> one line about it, those of plug-ins included.

    ``timm`` stands for every model of timm's, which ``model.name`` then names.
    """
    names = sorted(CATALOGUE, key=in_order)
    own = {name: CATALOGUE[name].about for name in names} | {"timm": "any of timm's, by model.name=NAME"}
    return plugins.names("models", own)


def group_names() -> dict[str, dict[str, str]]:
    """Return group -> option -> one line, for every config group of the command line.

    Those of plug-ins and of ``--config-dir`` (`set_config_dir`) are among them.
    """
    groups = {"tricks": trick_names(), "recipe": dict(recipe_names()), "model": model_names(), **_conf_groups()}
    groups["data"] = plugins.names("data", groups["data"])
    for file in config_dir_files():
        options = groups.setdefault(file.parent.name, {})
        groups[file.parent.name] = {**options, file.stem: title(file)}
    return groups


@cache
def _conf_groups() -> dict[str, dict[str, str]]:
    folders = sorted(p for p in CONF.iterdir() if p.is_dir() and not p.name.startswith("_"))
    return {folder.name: {f.stem: title(f) for f in plain_files(folder, "*.yaml")} for folder in folders}


_CONFIG_DIRS: list[Path] = []


def set_config_dir(folder: str | None) -> None:
    """Let the config groups of a folder be chosen, GROUP/NAME.yaml, and use the plug-ins that its recipes name.

    None: those of no folder.

    Raises:
        UserError: a recipe's ``plugins`` cannot be had.
    """
    _CONFIG_DIRS[:] = [Path(folder)] if folder else []
    for file in config_dir_files():
        with suppress(yaml.YAMLError, OSError):  # Hydra says what is wrong with it, where it is chosen
            content = read_yaml(file) if file.parent.name == "recipe" else None
            plugins.use((content.get("plugins") or ()) if isinstance(content, dict) else ())


def config_dir_files() -> list[Path]:
    """Return the files of the config groups of ``--config-dir``."""
    return [file for folder in _CONFIG_DIRS for file in plain_files(folder, "*/*.yaml")]


def use_plugins(overrides: Iterable[Override]) -> None:
    """Use the packages that a command line names by ``plugins=[..]``, those of any job of a sweep."""
    for override in overrides:
        if override.key_or_group == "plugins":
            value = override.value()
            several = override.is_sweep_override()
            for element in getattr(value, "list", []) if several else [value]:
                plugins.use(map(str, element) if isinstance(element, list) else [str(element)])


def recipe_content(name: str) -> Any:
    """Read the YAML of a recipe, which should be a dict. Not to be changed: recipes share their parents'."""
    return _content(recipe_file(name) or RECIPES / f"{name}.yaml")


@cache
def _content(file: Path) -> Any:
    return read_yaml(file) or {}
