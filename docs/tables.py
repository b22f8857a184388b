"""``python -m docs.tables`` writes the tables of docs/tricks.md and docs/recipes.md, each from the files it tells of.

The tables of tricks and of recipes come from docstrings, comments and YAML, without importing torch; that of networks
and tricks asks every trick (`docs.families`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from os.path import commonprefix
from pathlib import Path
from string import digits

from assemble.config.groups import recipe_names
from assemble.config.parameters import parameters
from assemble.config.recipes import flatten
from assemble.paths import RECIPES
from tricks import FOLDER, trick_names

DOCS = Path(__file__).resolve().parent

ACTS_ON = {
    "ModelTrick": "network",
    "DataTrick": "images",
    "BatchTrick": "batch",
    "LossTrick": "loss",
    "OptimTrick": "optimizer",
    "CallbackTrick": "run",
}
"""Base class of a trick -> what it acts on."""


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


# --- tricks


def tricks() -> str:
    """Return the table of all tricks, in the order of their names."""
    return markdown(
        ("trick", "what it does", "acts on", "parameters and their defaults", "source"),
        ((f"[`{n}`](../tricks/{n}.py)", about, *_of_trick(FOLDER / f"{n}.py")) for n, about in trick_names().items()),
    )


def _of_trick(file: Path) -> tuple[str, str, str]:
    """Return what the trick of a file acts on, its parameters, and where it was published."""
    module = ast.parse(file.read_bytes())
    (trick,) = (
        n for n in module.body if isinstance(n, ast.ClassDef) and "register" in map(ast.unparse, n.decorator_list)
    )
    bases = [ACTS_ON[base] for base in map(ast.unparse, trick.bases)]
    own = [f"`{parameter.name}={parameter.default}`" for parameter in parameters(file)]
    paper = re.search(r"^Paper: (.*?)^Changes:", ast.get_docstring(module) or "", re.DOTALL | re.MULTILINE)
    return ", ".join(bases), " ".join(own), _source(paper[1] if paper else "")


def _source(paper: str) -> str:
    """Return the first paper of a text as a link; of none, the first repository."""
    number = re.search(r"arXiv (\d{4}\.\d{4,5})", paper)
    if number:
        return f"[{number[1]}](https://arxiv.org/abs/{number[1]})"
    place = re.search(r"github\.com/[\w-]+/([\w-]+)", paper)
    return f"[{place[1]}](https://{place[0]})" if place else ""


# --- recipes


def recipes() -> str:
    """Return a table for each family of recipes: what precedes the first ``_``, without digits at the end."""
    families: dict[str, list[str]] = {}
    for name in recipe_names():
        families.setdefault(name.partition("_")[0].rstrip(digits), []).append(name)
    head = ("recipe", "what it is", "parameters, multiply-adds", "top-1 %", "source")
    return "\n\n".join(
        f"### {_common(names)}\n\n{markdown(head, map(_of_recipe, names))}" for names in families.values()
    )


def _common(names: list[str]) -> str:
    """Return what the names of a family begin with."""
    return commonprefix(names).partition("_")[0]  # noqa: RUF071 - names, not paths


def _of_recipe(name: str) -> tuple[str, ...]:
    said = header(RECIPES / f"{name}.yaml")
    top1 = flatten(name).body.get("reported", {}).get("top1", "")
    cost = re.match(r"([\d.]+ M) parameters, ([\d.]+ G) multiply-adds at (\d+) pixels", said.get("Cost", ""))
    costs = f"{cost[1]}, {cost[2]} at {cost[3]}" if cost else ""
    linked = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[\1](https://arxiv.org/abs/\1)", said["Paper"].removeprefix("none; "))
    return f"[`{name}`](../recipes/{name}.yaml)", said[""], costs, str(top1), linked


def header(file: Path) -> dict[str, str]:
    """Return the comment at the top of a recipe by label (*Paper*, *Cost*, ...); its first line under ""."""
    parts, label = dict[str, str](), ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        start = re.match(r"([A-Z][a-z]+):\s+", line[1:].strip())
        if start:
            label = start[1]
        text = line[1:].strip().removeprefix(start[0] if start else "")
        parts[label] = f"{parts.get(label, '')} {text}".strip()
    return parts


def families() -> str:
    """Return the table of networks and the tricks that find a place in them. Imports torch."""
    from docs.families import table

    return table()


# --- the pages

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "tricks.md": {"tricks": tricks, "families": families},
    "recipes.md": {"recipes": recipes},
}
"""Page -> its made parts, each between ``<!-- made: NAME -->`` and ``<!-- end: NAME -->``."""


def part(page: str, name: str) -> str:
    """Return what a page has now as its made part."""
    return re.split(rf"<!-- (?:made|end): {name} -->", (DOCS / page).read_text(encoding="utf-8"))[1].strip()


def write(page: str) -> Path:
    """Write the made parts of a page anew; returns its file."""
    file = DOCS / page
    text = file.read_text(encoding="utf-8")
    for name, make in PAGES[page].items():
        before, _, after = re.split(rf"(?<=<!-- made: {name} -->)\n|(?=<!-- end: {name} -->)", text)
        text = f"{before}\n\n{make()}\n\n{after}"
    file.write_text(text, encoding="utf-8")
    return file


def main() -> Iterator[Path]:
    """Write all pages."""
    yield from map(write, PAGES)


if __name__ == "__main__":
    print(*main(), sep="\n")
