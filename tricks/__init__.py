"""One file, one technique. ``tricks.base`` says what a trick is; CONTRIBUTING.md how to add one."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble import plugins
from assemble.errors import UserError
from assemble.paths import first_line, plain_files
from assemble.suggest import suggest
from tricks.base import TRICKS, Trick

if TYPE_CHECKING:
    from omegaconf import DictConfig


FOLDER = Path(__file__).parent


def trick_names() -> dict[str, str]:
    """List every trick by its file, the plug-ins' too: name -> first line of the docstring.

    Imports none of them.

    Raises:
        UserError: a plug-in has a trick of a name that is taken, or without a docstring.
    """
    return plugins.names("tricks", own_tricks())


@cache
def own_tricks() -> dict[str, str]:
    """List the tricks of this folder, as `trick_names` does."""
    files = plain_files(FOLDER, "*.py")
    return {f.stem: first_line(f) for f in files if f.stem != "base" and not f.stem.startswith("_")}


def trick_file(name: str) -> Path:
    """Return the file of a trick, ours or a plug-in's."""
    own = FOLDER / f"{name}.py"
    return own if name in own_tricks() else plugins.provided("tricks")[name].file


def load() -> dict[str, type[Trick]]:
    """Import every trick of this folder and of the plug-ins; returns all registered tricks by name.

    Raises:
        UserError: a file cannot be imported, or registers no trick.
    """
    return {name: class_of(name) for name in trick_names()}


def node(trick: type[Trick]) -> DictConfig:
    """Return the trick's parameters as OmegaConf holds them: typed, with their defaults."""
    from omegaconf import OmegaConf

    config = OmegaConf.structured(trick)
    # OmegaConf takes a frozen dataclass for a read-only node, which would refuse tricks.<name>.<parameter>=...
    OmegaConf.set_readonly(config, None)
    return config


def node_of(name: str) -> DictConfig:
    """Return `node` of the trick of that name."""
    return node(class_of(name))


def places_of(name: str) -> set[str]:
    """Return the parameters of the trick that say where something lies, and not what it is."""
    return {own.name for own in fields(class_of(name)) if own.metadata.get("place")}


def later_parameters(name: str) -> dict[str, Any]:
    """Return the trick's parameters that runs of the first rule's time (`assemble.runs.identity`) could not set."""
    return {own.name: own.default for own in fields(class_of(name)) if own.metadata.get("later")}


def create(tricks: Iterable[str] | Mapping[str, Mapping[str, Any] | None]) -> list[Trick]:
    """Make tricks from names, or from a mapping of name to parameters, which are checked as on the command line.

    Raises:
        UserError: unknown trick or parameter, or a value of another type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from assemble.complaints import explanation

    if isinstance(tricks, str):
        raise UserError(f'tricks="{tricks}" is no list: write tricks=["{tricks}"]')
    if not isinstance(tricks, Iterable):
        raise UserError(f"tricks={tricks!r} is no list of names, nor a mapping of name to parameters")
    chosen = tricks.items() if isinstance(tricks, Mapping) else [(name, None) for name in tricks]
    objects: list[Trick] = []
    for name, parameters in chosen:
        if name not in list(trick_names()):  # a list asks for no hash
            raise UserError(suggest("trick", name, trick_names()))
        if not isinstance(parameters, Mapping | None):
            raise UserError(
                f"tricks.{name}={parameters!r} is no mapping of parameters: write {{'{name}': {{NAME: VALUE}}}}"
            )
        typed = OmegaConf.create({"tricks": {name: node(class_of(name))}})
        try:
            merged = OmegaConf.merge(typed, {"tricks": {name: dict(parameters or {})}})
            objects.append(OmegaConf.to_object(merged)["tricks"][name])  # type: ignore[index,call-overload]
        except OmegaConfBaseException as error:
            raise UserError(explanation(error)) from error
    return objects


def class_of(name: str) -> type[Trick]:
    """Return the class that ``tricks/<name>.py``, or a plug-in's file of that name, registers.

    Raises:
        UserError: the file cannot be imported, or registers no trick.
    """
    foreign = None if name in own_tricks() else plugins.provided("tricks").get(name)
    if foreign:
        foreign.load()
        file = f"plug-in {foreign.package}: {foreign.file.name}"
    else:
        file = f"tricks/{name}.py"
        try:
            importlib.import_module(f"tricks.{name}")
        except Exception as error:  # whatever is wrong with that file; the traceback goes along as the cause
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{file} cannot be imported ({reason}): mend it, or take it out of tricks/") from error
    if name not in TRICKS:
        raise UserError(f"{file} registers no trick: put @register above its dataclass")
    return TRICKS[name]
