"""Puts into Hydra's ConfigStore what is not a YAML file of conf/: the schema, the recipes, the models, the tricks.

Registered before `hydra.main`, so that it is found from any working directory, and listed by errors, ``--info``,
shell completion and ``glob(*)``.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from core.errors import UserError
from core.names import model_names, recipe_content, recipe_names, suggest


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

    def node(self) -> dict[str, Any]:
        """What Hydra composes. One list of tricks, which ``tricks=[..]`` on the command line then replaces."""
        others = [{key: option} for key, option in self.others.items()]
        # Hydra wants overrides of other groups last; they take effect at the place of the group.
        plain = [entry for entry in others if not next(iter(entry)).startswith("override ")]
        overriding = [entry for entry in others if entry not in plain]
        tricks = [{"/tricks": list(self.tricks)}] if self.tricks else []
        return {"defaults": [*plain, *tricks, "_self_", *overriding], **deepcopy(self.body)}


def flatten(name: str) -> FlatRecipe:
    """A recipe with its parents folded in.

    Hydra would compose the ``defaults`` by itself, but lets the command line replace only a *list* of tricks, and takes
    one such list only, so that ``tricks=[..]`` would leave the parents' tricks in place.
    """
    if name not in recipe_names():
        raise UserError(suggest("recipe", name, recipe_names()))
    try:
        return _flatten(recipe_content(name))
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" in line {place.line + 1}" if place else ""
        raise UserError(f"recipes/{name}.yaml is not valid YAML{line}: {getattr(error, 'problem', error)}") from error


def _flatten(content: dict[str, Any]) -> FlatRecipe:
    own = FlatRecipe(body={key: value for key, value in content.items() if key != "defaults"})
    defaults = list(content.get("defaults", []))
    whole = FlatRecipe()
    for entry in defaults if "_self_" in defaults else [*defaults, "_self_"]:
        whole.add(own if entry == "_self_" else _default(entry))
    return whole


def _default(entry: str | dict[str, Any]) -> FlatRecipe:
    """One line of a defaults list."""
    if isinstance(entry, str):
        group, _, option = entry.lstrip("/").rpartition("/")
        if group == "tricks":
            return FlatRecipe(tricks=[option])
        if group in {"", "recipe"}:
            return flatten(option)
        return FlatRecipe(others={f"/{group}": option})
    key, option = next(iter(entry.items()))
    if key.rpartition("/")[2] == "tricks":
        return FlatRecipe(tricks=[option] if isinstance(option, str) else list(option or []))
    return FlatRecipe(others={key: option})


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts merged, ``above`` winning."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def register() -> None:
    """Register everything. Imports torch, through the tricks."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    import tricks
    from conf.schema import Config

    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for name in recipe_names():
        store.store(group="recipe", name=name, node=flatten(name).node(), package="_global_", provider="recipes")
    for name in model_names():
        store.store(group="model", name=name, node={"name": name}, provider="models")
    for name, trick in tricks.load().items():
        # OmegaConf takes a frozen dataclass for a read-only node, which would refuse tricks.<name>.<parameter>=...
        node = OmegaConf.structured(trick)
        OmegaConf.set_readonly(node, None)
        store.store(group="tricks", name=name, node=node, package=f"tricks.{name}", provider="tricks")
