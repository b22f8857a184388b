"""What can be named on the command line, found without importing torch, so that typos are answered at once."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "recipes"


@cache
def trick_names() -> dict[str, str]:
    """Trick name -> first line of its file's docstring."""
    files = sorted((ROOT / "tricks").glob("*.py"))
    return {
        f.stem: (ast.get_docstring(ast.parse(f.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        for f in files
        if f.stem not in {"__init__", "base", "gallery"} and not f.stem.startswith("_")
    }


@cache
def recipe_names() -> dict[str, str]:
    """Recipe name -> the first comment line of its YAML file."""
    files = sorted(RECIPES.glob("*.yaml"))
    return {f.stem: f.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").strip() for f in files}


def model_names() -> dict[str, str]:
    """Model name -> one line about it."""
    from models.catalogue import CATALOGUE

    return {name: entry.about for name, entry in CATALOGUE.items()}


@cache
def group_names() -> dict[str, dict[str, str]]:
    """Group -> option -> one line, for every config group of the command line."""
    groups = {"tricks": trick_names(), "recipe": recipe_names(), "model": model_names()}
    for folder in sorted(p for p in (ROOT / "conf").iterdir() if p.is_dir() and not p.name.startswith("_")):
        options = {}
        for f in sorted(folder.glob("*.yaml")):
            comments = (line for line in f.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
            options[f.stem] = next((c[2:] for c in comments if "@package" not in c), "")
        groups[folder.name] = options
    return groups


def recipe_content(name: str) -> dict:
    """The parsed YAML of a recipe."""
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8")) or {}


def suggest(kind: str, name: str, options: Iterable[str]) -> str:
    """One line that says ``name`` is unknown, what was perhaps meant, and what there is."""
    known = list(options)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"unknown {kind} '{name}'.{hint} Available: {', '.join(known) or 'none'}"
