"""What the smaller programs share with train.py: key=value arguments, and a configuration composed from them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from assemble.command_line.check import check
from assemble.errors import UserError
from assemble.suggest import suggest

T = TypeVar("T")


def read_options(kind: type[T], argv: Sequence[str], usage: str, network: bool = True) -> tuple[T, list[str]]:
    """The program's own options, and the arguments that are train.py's.

    Args:
        kind: a dataclass; ``key=value`` sets its field, of the field's type.
        argv: without the program's name. ``--help`` prints ``usage`` and exits.
        network: whether the program takes arguments of train.py at all.

    Raises:
        UserError: an unknown option, or a required one (without a default) is missing.
        omegaconf's: a value of another type, which `assemble.command_line.one_line_errors.one_line_errors` explains.
    """
    import yaml
    from omegaconf import OmegaConf

    from assemble.schema import Config

    if {"-h", "--help"} & set(argv):
        print(usage.strip())
        raise SystemExit(0)
    fields = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    known = [*fields, "recipe", *(field.name for field in dataclasses.fields(Config))] if network else fields
    own: dict[str, Any] = {}
    others = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        if equals and key in fields:
            own[key] = yaml.safe_load(value) if value[:1] == "[" or value == "null" else value
        elif not equals or re.split(r"[.@/]", key.lstrip("+~"))[0] in known[len(fields) :]:
            others.append(argument)
        else:
            raise UserError(suggest("option", key, known))
    config = OmegaConf.merge(OmegaConf.structured(kind), own)
    for name in fields:
        if OmegaConf.is_missing(config, name):
            raise UserError(f"{name} is not set: give it as {name}=...; --help says more")
    options: Any = OmegaConf.to_object(config)
    return options, others


def check_network(overrides: Sequence[str], sweep: bool = False) -> list[str]:
    """Check arguments of train.py given to another program; returns them with ``data=imagenet`` where none is chosen.

    Raises:
        UserError: anything misspelt, unknown or contradictory; several values where ``sweep`` is false.
    """
    check(["-m", *overrides] if sweep else overrides)
    keys = {override.partition("=")[0] for override in overrides}
    return list(overrides) if {"recipe", "data"} & keys else ["data=imagenet", *overrides]
