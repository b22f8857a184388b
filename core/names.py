"""What can be named on the command line, found without importing torch, so that typos are answered at once."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "recipes"
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Safe, and ten times as fast where libyaml is: every start reads recipes, and a report a thousand configurations."""
NO_TRICKS = {"base", "families", "gallery"}
"""Files of ``tricks/`` that are about tricks, and none."""


@cache
def trick_names() -> dict[str, str]:
    """Trick name -> first line of its file's docstring."""
    files = _files(ROOT / "tricks", "*.py")
    return {f.stem: _about(f) for f in files if f.stem not in NO_TRICKS and not f.stem.startswith("_")}


def _files(folder: Path, pattern: str) -> list[Path]:
    """Sorted; without the hidden links that editors leave beside what they have open."""
    return sorted(f for f in folder.glob(pattern) if f.is_file() and not f.name.startswith("."))


def _about(file: Path) -> str:
    """The first line of a module's docstring; of a broken file, that it is broken."""
    try:
        return (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n")[0]
    except SyntaxError as error:
        return f"(cannot be read: {error.msg} in line {error.lineno})"


def _title(file: Path) -> str:
    """The first comment of a YAML file that is not for Hydra."""
    lines = file.read_text("utf-8", "replace").splitlines()
    comments = (line for line in lines if line.startswith("#") and "@package" not in line)
    return next(comments, "").lstrip("# ").strip()


@cache
def recipe_names() -> dict[str, str]:
    """Recipe name -> the first comment line of its YAML file."""
    files = [f for f in _files(RECIPES, "*.yaml") if not f.name.startswith("_")]  # those are parents alone
    return {f.stem: _title(f) for f in files}


def has_recipe(name: str) -> bool:
    """Is there such a file, be it a parent alone?"""
    return (RECIPES / f"{name}.yaml").is_file()


def model_names() -> dict[str, str]:
    """Model name -> one line about it. ``timm`` stands for every model of timm's, which ``model.name`` then names."""
    from models.catalogue import CATALOGUE

    return {name: entry.about for name, entry in CATALOGUE.items()} | {"timm": "any of timm's, by model.name=NAME"}


@cache
def group_names() -> dict[str, dict[str, str]]:
    """Group -> option -> one line, for every config group of the command line."""
    groups = {"tricks": trick_names(), "recipe": recipe_names(), "model": model_names()}
    for folder in sorted(p for p in (ROOT / "conf").iterdir() if p.is_dir() and not p.name.startswith("_")):
        groups[folder.name] = {f.stem: _title(f) for f in _files(folder, "*.yaml")}
    return groups


@cache
def recipe_content(name: str) -> Any:
    """The parsed YAML of a recipe, which should be a dict. Not to be changed: recipes share their parents'."""
    return yaml.load((RECIPES / f"{name}.yaml").read_bytes(), YAML_LOADER) or {}


LISTED = 60
"""Names that a message may hold: of recipes there are more, and ``--help recipe`` tells what each is."""


def suggest(kind: str, name: object, options: Iterable[str]) -> str:
    """One line that says ``name`` is unknown, what was perhaps meant, and what there is, unless that is very much."""
    known = list(options)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    if len(known) > LISTED and kind in group_names():
        return f"unknown {kind} '{name}'.{hint} There are {len(known)}: python train.py --help {kind}"
    return f"unknown {kind} '{name}'.{hint} Available: {', '.join(known) or 'none'}"
