"""Puts into Hydra's ConfigStore what is no YAML file of conf/: schema, recipes, models, tricks, sweepers, launchers.

Registered before `hydra.main`, so that it is found from any working directory, and listed by errors, ``--info``,
shell completion and ``glob(*)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from assemble.config.groups import model_names, recipe_names
from assemble.config.launchers import register_launchers
from assemble.config.recipes import flatten
from assemble.errors import UserError


def meant(arguments: Sequence[str]) -> list[str]:
    """Return the recipes that a command line names; all where it names a pattern, or gives an option of Hydra's."""
    line = " ".join(arguments)
    if "glob(" in line or any(a.startswith("-") and a not in {"-m", "--multirun"} for a in arguments):
        return list(recipe_names())
    return [name for name in recipe_names() if name in line]


def register_recipes(names: Iterable[str]) -> None:
    """Register these recipes. Hydra copies all that is registered whenever it composes: fewer are composed sooner."""
    from hydra.core.config_store import ConfigStore

    for name in names:
        with suppress(UserError):  # a broken one, which is told of where it is asked for
            node = flatten(name).node()
            ConfigStore.instance().store(group="recipe", name=name, node=node, package="_global_", provider="recipes")


def register(arguments: Sequence[str] | None = None) -> None:
    """Register everything. Imports torch, through the tricks.

    Args:
        arguments: of a command line that has been checked. Then, of the recipes, only those are registered that it can
            mean: each of them would cost every start 5 ms.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    import tricks
    from assemble.schema import Config
    from assemble.sweeper_options import SWEEPERS

    store = ConfigStore.instance()
    schema = OmegaConf.structured(Config)
    OmegaConf.set_struct(schema.optim.args, False)  # its keys depend on the optimizer, which checks them
    store.store(name="schema", node=schema)
    register_recipes(recipe_names() if arguments is None else meant(arguments))
    for name in model_names():
        node = {"name": "", "library": "timm"} if name == "timm" else {"name": name, "library": "catalogue"}
        store.store(group="model", name=name, node=node, provider="models")
    for name, sweeper in SWEEPERS.items():
        store.store(group="hydra/sweeper", name=name, node=sweeper, provider="sweepers")
    for name, trick in tricks.load().items():
        store.store(group="tricks", name=name, node=tricks.node(trick), package=f"tricks.{name}", provider="tricks")
    register_launchers()
