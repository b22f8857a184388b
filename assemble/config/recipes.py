"""A recipe's YAML file with everything that it inherits folded in, so that one list of tricks is left to replace."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from assemble.config.groups import recipe_content, recipe_file, recipe_names
from assemble.errors import UserError
from assemble.paths import RECIPES
from assemble.plugins import use
from assemble.suggest import suggest
from tricks import trick_names


@dataclass
class FlatRecipe:
    """A recipe with everything it inherits."""

    tricks: list[str] = field(default_factory=list)
    others: dict[str, Any] = field(default_factory=dict)  # "override /model" -> option, and other groups
    body: dict[str, Any] = field(default_factory=dict)

    def add(self, other: FlatRecipe) -> None:
        """Put another on top of this one."""
        self.tricks += [trick for trick in other.tricks if trick not in self.tricks]
        self.others |= other.others
        self.body = _merge(self.body, other.body)
        if "reported" in other.body:  # the numbers of one row: none of another's may stay among them
            self.body["reported"] = other.body["reported"]

    def node(self) -> dict[str, Any]:
        """Return what Hydra composes.

        It has one list of tricks, which ``tricks=[..]`` on the command line then replaces.
        """
        others = [{key: option} for key, option in self.others.items()]
        # Hydra wants overrides of other groups last; they take effect at the place of the group.
        plain = [entry for entry in others if not next(iter(entry)).startswith("override ")]
        overriding = [entry for entry in others if entry not in plain]
        tricks = [{"/tricks": list(self.tricks)}] if self.tricks else []
        return {"defaults": [*plain, *tricks, "_self_", *overriding], **deepcopy(self.body)}


def flatten(name: str, below: tuple[str, ...] = ()) -> FlatRecipe:
    """Return a recipe with its parents folded in. ``below`` are the recipes that inherit from it, the nearest last.

    Hydra would compose the ``defaults`` by itself, but lets the command line replace only a *list* of tricks, and takes
    one such list only, so that ``tricks=[..]`` would leave the parents' tricks in place.

    Raises:
        UserError: there is no such recipe, or its file is not one; the message names the file.
    """
    if name not in recipe_names() and not recipe_file(name):
        where = f"recipes/{below[-1]}.yaml: " if below else ""
        raise UserError(where + suggest("recipe", name, recipe_names(), group="recipe"))
    place = recipe_file(name)
    file = str(place) if place and place.parent != RECIPES else f"recipes/{name}.yaml"
    if name in below:
        raise UserError(f"{file} inherits from itself: {' -> '.join([*below[below.index(name) :], name])}")
    try:
        content = recipe_content(name)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" in line {place.line + 1}" if place else ""
        raise UserError(f"{file} is not valid YAML{line}: {getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is not a recipe: write keys and values, as the other recipes have them")
    use(content.get("plugins") or ())
    own = FlatRecipe(body={key: value for key, value in content.items() if key != "defaults"})
    defaults = content.get("defaults") or []
    if not isinstance(defaults, list):
        raise UserError(f"{file}: defaults must be a list, one '- NAME' or '- /tricks/NAME' a line")
    whole = FlatRecipe()
    for entry in defaults if "_self_" in defaults else [*defaults, "_self_"]:
        if isinstance(entry, dict) and "override /tricks" in entry:  # of --config-dir: takes the place of those above
            whole.tricks.clear()
        whole.add(own if entry == "_self_" else _default(entry, (*below, name)))
    _check_tricks(file, whole)
    return whole


def _default(entry: Any, below: tuple[str, ...]) -> FlatRecipe:
    """Read one line of a defaults list."""
    if isinstance(entry, str):
        group, _, option = entry.lstrip("/").rpartition("/")
        if group == "tricks":
            return FlatRecipe(tricks=[option])
        if group in {"", "recipe"}:
            return flatten(option, below)
        return FlatRecipe(others={f"/{group}": option})
    if isinstance(entry, dict) and len(entry) == 1:
        key, option = next(iter(entry.items()))
        if str(key).rpartition("/")[2] == "tricks":
            return FlatRecipe(tricks=option if isinstance(option, list) else [option])
        if isinstance(option, str):
            return FlatRecipe(others={str(key): option})
    raise UserError(
        f"recipes/{below[-1]}.yaml: cannot read {entry!r} in defaults: "
        "write - NAME (a recipe), - /tricks/NAME or - override /GROUP: NAME"
    )


def _check_tricks(file: str, recipe: FlatRecipe) -> None:
    """Check that every trick exists, and that every one with parameters is selected."""
    for name in recipe.tricks:
        if name not in trick_names():
            raise UserError(f"{file}: {suggest('trick', name, trick_names())}")
    given = recipe.body.get("tricks") or {}
    for name in given:
        if name not in recipe.tricks:
            raise UserError(f"{file} has {name} under tricks, but does not select it: add - /tricks/{name} to defaults")
    if not isinstance(given, dict) or not all(isinstance(parameters, dict) for parameters in given.values()):
        raise UserError(f"{file}: tricks must hold parameters by trick, as in tricks: {{NAME: {{PARAMETER: VALUE}}}}")


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge nested dicts, ``above`` winning."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
