"""What can be set, with type, default, choices and meaning, read from the source without importing it (or torch).

A dataclass says it all: annotations, defaults (`bounded`, `strength` with a range), the docstrings below the fields.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

KINDS = {"bool": "true or false", "int": "integer", "float": "number", "str": "text", "Strength": "number or ramp"}
RANGES = {"least": "at least", "above": "above", "most": "at most", "below": "below"}


@dataclass(frozen=True)
class Parameter:
    """One field of a dataclass."""

    name: str
    kind: str
    """Its type, in the user's words."""
    default: str
    """As a user would write it."""
    about: str
    choices: tuple[str, ...] = ()
    limits: str = ""
    """Its range, as ``at least 0 and below 1``."""

    @property
    def example(self) -> str:
        """Another value than the default, where one follows from the type; else the default."""
        others = [choice for choice in self.choices if choice != self.default]
        if others:
            return others[0]
        if self.kind == KINDS["bool"]:
            return "false" if self.default == "true" else "true"
        number = _number(self.default)
        if number is None:
            return self.default
        if self.kind.startswith(KINDS["int"]):
            return f"{number + 1:g}"
        return f"{number / 2 or (0.5 if 'below 1' in self.limits else 1):g}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@cache
def parameters(file: Path, of: str | None = None) -> tuple[Parameter, ...]:
    """Return the parameters of the dataclass ``of`` in a file, those of its bases there first.

    Args:
        file: a Python file.
        of: the class; None: the one that is registered as a trick.

    Raises:
        KeyError: there is no such class.
    """
    classes = _classes(file)
    if of is None:
        of = next(name for name, node in classes.items() if "register" in map(ast.unparse, node.decorator_list))
    found: dict[str, Parameter] = {}
    for base in classes[of].bases:
        if ast.unparse(base) in classes:
            found |= {parameter.name: parameter for parameter in parameters(file, ast.unparse(base))}
    found |= {parameter.name: parameter for parameter in _fields(classes[of], classes)}
    return tuple(found.values())


@cache
def _classes(file: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.ClassDef)}


def _fields(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[Parameter]:
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, kind = statement.target.id, ast.unparse(statement.annotation)
        hidden = name.startswith("_") and not name.endswith("_")  # _target_ is the user's
        if hidden or "ClassVar" in kind or (kind in classes and _is_dataclass(classes[kind])):
            continue
        value = after.value if isinstance(after, ast.Expr) else None
        about = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
        yield Parameter(
            name,
            _kind(kind, classes),
            written(statement.value),
            " ".join(about.split()),
            tuple(_members(classes[kind])) if kind in classes else (),
            _limits(statement.value),
        )


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the values of an enumeration."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            yield str(statement.value.value)


def _kind(annotation: str, classes: dict[str, ast.ClassDef]) -> str:
    """Put a type into words."""
    base, _, optional = annotation.partition(" | ")
    if base in classes:
        words = "one of"
    elif base.startswith(("list", "tuple")):
        words = "list of " + ("numbers" if "float" in base or "int" in base else "names")
    elif base.startswith("dict"):
        words = "keys and values"
    else:
        words = KINDS.get(base, "value")
    other = {"None": "null", **KINDS}.get(optional)
    return words + (f" or {other}" if other else "")


def _limits(value: ast.expr | None) -> str:
    """Return the range that `bounded` or `strength` is called with, in words."""
    if not isinstance(value, ast.Call):
        return ""
    limits = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
    return " and ".join(f"{words} {limits[key]}" for key, words in RANGES.items() if key in limits)


def written(value: ast.expr | None) -> str:
    """Return a default as a user would write it: ``strength(0.2)`` is 0.2, ``Policy.paper`` is paper."""
    if value is None:
        return ""
    if isinstance(value, ast.Call):
        made = [keyword.value for keyword in value.keywords if keyword.arg == "default_factory"]
        if made:
            empty = {"list": "[]", "dict": "{}"}.get(ast.unparse(made[0]))
            return empty if empty else written(made[0].body) if isinstance(made[0], ast.Lambda) else ""
        given = [*value.args, *(keyword.value for keyword in value.keywords if keyword.arg == "default")]
        return written(given[0]) if given else ""
    if isinstance(value, ast.Attribute):
        return value.attr
    if isinstance(value, ast.Tuple | ast.List):
        return f"[{','.join(map(written, value.elts))}]"
    if isinstance(value, ast.Dict):
        return f"{{{','.join(f'{written(k)}:{written(v)}' for k, v in zip(value.keys, value.values, strict=True))}}}"
    text = ast.unparse(value)
    return {"None": "null", "True": "true", "False": "false"}.get(text, text.strip("'"))
