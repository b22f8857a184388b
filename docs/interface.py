"""The page of what Python code calls: `assemble`'s functions, the tricks' functions and modules, from docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.cards import prose
from tricks import FOLDER, trick_names

MODULES = ("nn.Module", "Wrapped")
"""Bases of the classes that can be used alone: parts of networks, and optimizers around others."""
ENTRIES = ("Args", "Raises")
"""Sections of a docstring in which each entry is ``name: text``."""

Definition = ast.FunctionDef | ast.ClassDef


def page() -> str:
    """Return the page as Markdown, with links as from ``docs/cards/``."""
    parts = ["# Interface", "What [From Python](../python.md) walks through, from the docstrings.", "## assemble"]
    parts += map(described, public(FOLDER.parent / "assemble" / "__init__.py"))
    for name in trick_names():
        own = list(public(FOLDER / f"{name}.py"))
        if own:
            parts += [f"## {name}", f"From `tricks.{name}`; [its card]({name}.md).", *map(described, own)]
    return "\n\n".join(parts) + "\n"


def public(file: Path) -> Iterator[Definition]:
    """Yield the functions and modules of a file that can be used alone."""
    for node in ast.parse(file.read_bytes()).body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        if isinstance(node, ast.FunctionDef) or set(MODULES) & {*map(ast.unparse, node.bases)}:
            yield node


def described(node: Definition) -> str:
    """Return heading, signature and docstring."""
    return f"### {node.name}\n\n```python\n{signature(node)}\n```\n\n{markdown(ast.get_docstring(node) or '')}"


def signature(node: Definition) -> str:
    """Return the call with names, types and defaults, one line for each argument where it is long."""
    function, returned = node, ""
    if isinstance(node, ast.ClassDef):
        function = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    elif node.returns:
        returned = f" -> {ast.unparse(node.returns)}"
    given = list(arguments(function.args)) if isinstance(function, ast.FunctionDef) else []
    short = f"{node.name}({', '.join(given)}){returned}"
    lines = "".join(f"    {argument},\n" for argument in given)
    return short if len(short) <= 80 else f"{node.name}(\n{lines}){returned}"


def arguments(own: ast.arguments) -> Iterator[str]:
    """Yield each argument as it is written."""
    plain = [*own.posonlyargs, *own.args]
    defaults = [*[None] * (len(plain) - len(own.defaults)), *own.defaults]
    for argument, default in zip(plain, defaults, strict=True):
        if argument.arg != "self":
            yield _argument(argument, default)
    if own.vararg:
        yield f"*{_argument(own.vararg, None)}"
    elif own.kwonlyargs:
        yield "*"
    for argument, default in zip(own.kwonlyargs, own.kw_defaults, strict=True):
        yield _argument(argument, default)
    if own.kwarg:
        yield f"**{_argument(own.kwarg, None)}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default else "")


def markdown(docstring: str) -> str:
    """Return a docstring with its sections (*Args*, *Returns*, *Raises*) and examples as Markdown."""
    first, *sections = re.split(r"^(Args|Returns|Raises):\n", docstring, flags=re.MULTILINE)
    parts = [_examples(first.strip())]
    for label, text in zip(sections[::2], sections[1::2], strict=True):
        lines = " ".join(text.split())
        if label in ENTRIES:
            entries = re.split(r"^    (?=\S)", text, flags=re.MULTILINE)[1:]
            found = (" ".join(entry.split()).partition(": ") for entry in entries)
            lines = "\n".join(f"* `{name}`: {prose(said)}" for name, _, said in found)
        parts.append(f"{label}:\n\n{lines}" if label in ENTRIES else f"{label}: {prose(lines)}")
    return "\n\n".join(parts)


def _examples(text: str) -> str:
    """Set lines that begin with ``>>>`` as code, the rest as prose."""
    parts = re.split(r"((?:^>>> .*\n?)+)", text, flags=re.MULTILINE)
    parts[::2] = map(prose, parts[::2])
    for i in range(1, len(parts), 2):
        code = re.sub(r"^>>> |  # doctest.*$", "", parts[i].strip(), flags=re.MULTILINE)
        parts[i] = f"```python\n{code}\n```\n"
    return "".join(parts).strip()
