"""What can be named on the command line, found without importing torch, so that typos are answered at once."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from assemble.models.catalogue import CATALOGUE
from assemble.paths import CONF, RECIPES, plain_files, title
from assemble.yaml_files import read_yaml
from tricks import trick_names


@cache
def recipe_names() -> dict[str, str]:
    """Return recipe name -> the first comment line of its YAML file."""
    files = [f for f in plain_files(RECIPES, "*.yaml") if not f.name.startswith("_")]  # those are parents alone
    return {f.stem: title(f) for f in sorted(files, key=lambda f: in_order(f.stem))}


def in_order(name: str) -> list[tuple[str, int]]:
    """Return what names are sorted by so that resnet20 comes before resnet101."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D+)(\d*)", name)]


def has_recipe(name: str) -> bool:
    """Return True where there is such a file, be it a parent alone."""
    return (RECIPES / f"{name}.yaml").is_file()


def model_names() -> dict[str, str]:
    """Return model name -> one line about it.

    ``timm`` stands for every model of timm's, which ``model.name`` then names.
    """
    names = sorted(CATALOGUE, key=in_order)
    return {name: CATALOGUE[name].about for name in names} | {"timm": "any of timm's, by model.name=NAME"}


@cache
def group_names() -> dict[str, dict[str, str]]:
    """Return group -> option -> one line, for every config group of the command line."""
    groups = {"tricks": trick_names(), "recipe": recipe_names(), "model": model_names()}
    for folder in sorted(p for p in CONF.iterdir() if p.is_dir() and not p.name.startswith("_")):
        groups[folder.name] = {f.stem: title(f) for f in plain_files(folder, "*.yaml")}
    return groups


@cache
def recipe_content(name: str) -> Any:
    """Read the YAML of a recipe, which should be a dict. Not to be changed: recipes share their parents'."""
    return read_yaml(RECIPES / f"{name}.yaml") or {}
