"""One file, one technique. ``tricks.base`` says what a trick is; CONTRIBUTING.md how to add one."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from core.errors import UserError
from core.names import suggest, trick_names
from tricks.base import TRICKS, Trick


def load() -> dict[str, type[Trick]]:
    """Import every trick of this folder; returns all registered tricks by name."""
    for name in trick_names():
        importlib.import_module(f"tricks.{name}")
    return TRICKS


def create(tricks: Iterable[str] | Mapping[str, Mapping[str, Any]]) -> list[Trick]:
    """Trick objects from names, or from a mapping of name to parameters.

    Raises:
        UserError: unknown trick or parameter.
    """
    chosen = tricks if isinstance(tricks, Mapping) else {name: {} for name in tricks}
    objects = []
    for name, parameters in chosen.items():
        if name not in trick_names():
            raise UserError(suggest("trick", name, trick_names()))
        importlib.import_module(f"tricks.{name}")
        cls = TRICKS[name]
        known = [field.name for field in fields(cls)]
        unknown = set(parameters or {}) - set(known)
        if unknown:
            raise UserError(suggest(f"parameter of trick {name}", sorted(unknown)[0], known))
        try:
            objects.append(cls(**(parameters or {})))
        except (TypeError, ValueError) as error:  # here no Hydra has checked the types
            raise UserError(f"tricks.{name}: {error}") from error
    return objects
