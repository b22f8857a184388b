"""Puts into Hydra's ConfigStore what is no YAML file of conf/: schema, recipes, models, tricks, sweepers, launchers.

Registered before `hydra.main`, so that it is found from any working directory, and listed by errors, ``--info``,
shell completion and ``glob(*)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from assemble.config.groups import config_dir_files, model_names, recipe_names
from assemble.config.launchers import register_launchers
from assemble.config.recipes import flatten
from assemble.errors import UserError
from assemble.plugins import provided


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
    for group in ("model", "data", "optim", "trainer"):
        OmegaConf.set_struct(schema[group].args, False)  # its keys depend on what is chosen, which checks them
    store.store(name="schema", node=schema)
    register_recipes(recipe_names() if arguments is None else meant(arguments))
    for name in model_names():
        _store_model(name)
    for name, sweeper in SWEEPERS.items():
        store.store(group="hydra/sweeper", name=name, node=sweeper, provider="sweepers")
    for name in tricks.own_tricks():
        _store_trick(name)
    register_plugins(arguments)
    register_launchers()


def register_plugins(arguments: Sequence[str] | None) -> None:
    """Register what plug-ins have: of the tricks, which are imported for that, those that a command line can mean.

    Args:
        arguments: of the command line, or overrides; None: all.

    Raises:
        UserError: a trick that is meant cannot be imported.
    """
    from hydra.core.config_store import ConfigStore

    for name in provided("models"):
        _store_model(name)
    for name, item in provided("data").items():
        node = {**item.settings, "name": name}
        ConfigStore.instance().store(group="data", name=name, node=node, provider="plugins")
    line = None if arguments is None else " ".join(arguments)
    everything = line is None or "glob(" in line or not provided("tricks")
    known = "" if everything else " ".join(trick for name in meant(arguments or ()) for trick in _tricks_of(name))
    known += "" if everything else " ".join(file.read_text("utf-8", "replace") for file in config_dir_files())
    for name in provided("tricks"):
        if everything or name in f"{line} {known}":
            _store_trick(name)


def _tricks_of(recipe: str) -> list[str]:
    with suppress(UserError):
        return flatten(recipe).tricks
    return []


def _store_model(name: str) -> None:
    from hydra.core.config_store import ConfigStore

    node = {"name": "", "library": "timm"} if name == "timm" else {"name": name, "library": "catalogue"}
    ConfigStore.instance().store(group="model", name=name, node=node, provider="models")


def _store_trick(name: str) -> None:
    from hydra.core.config_store import ConfigStore

    import tricks

    node = tricks.node(tricks.class_of(name))
    ConfigStore.instance().store(group="tricks", name=name, node=node, package=f"tricks.{name}", provider="tricks")
