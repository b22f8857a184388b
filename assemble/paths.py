"""Where the files lie that come along, and how they say what they are."""

from __future__ import annotations

import ast
import os
from collections.abc import MutableMapping
from pathlib import Path

from assemble.errors import UserError

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
"""The checkout; where the package is installed, the folder that it is installed into."""


def _carried(name: str) -> Path:
    """Return a folder of the checkout; in an installed package it lies within."""
    installed = PACKAGE / name
    return installed if installed.is_dir() else ROOT / name


CONF = _carried("conf")
RECIPES = _carried("recipes")
MLFLOW_FILES = "mlartifacts"
"""Folder beside the runs where MLflow keeps files of theirs, which are no runs."""


def user_cache() -> Path:
    """Return the folder in which the user's programs keep what they can make anew."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "assemble"


def make_importable(environment: MutableMapping[str, str]) -> None:
    """Let Pythons that are started with this environment find this code, wherever they run."""
    known = environment.get("PYTHONPATH", "").split(os.pathsep)
    if str(ROOT) not in known:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), *known]))


def plain_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder, sorted, without the hidden links that editors leave beside what they have open."""
    return sorted(f for f in folder.glob(pattern) if f.is_file() and not f.name.startswith("."))


def printable(text: str) -> str:
    """Return a text, perhaps a file's name, with escapes in the place of what no terminal or encoding takes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def first_line(file: Path) -> str:
    """Return the first line of a module's docstring; of a broken file, that it is broken."""
    try:
        return (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n")[0]
    except SyntaxError as error:
        return f"(cannot be read: {error.msg} in line {error.lineno})"


def title(file: Path) -> str:
    """Return the first comment of a YAML file that is not for Hydra."""
    lines = file.read_text("utf-8", "replace").splitlines()
    comments = (line for line in lines if line.startswith("#") and "@package" not in line)
    return next(comments, "").lstrip("# ").strip()


def check_folder_of_plots(key: str, folder: str | None) -> None:
    """Refuse the name of an image where a folder of several is meant."""
    if folder and Path(folder).suffix.lower() in {".png", ".svg", ".pdf"}:
        raise UserError(f"{key}={folder} is to be a folder of plots: write {key}={Path(folder).with_suffix('')}")
