"""How every program but train.py reads its arguments: ``key=value`` in Hydra's grammar, typed by a dataclass.

train.py has Hydra itself read them, after `assemble.command_line.check`; what it is told here of other programs'
arguments goes through the same check.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, TypeVar, get_type_hints

from assemble.command_line.check import check_arguments, check_schema, parse
from assemble.complaints import quoted
from assemble.errors import UserError
from assemble.suggest import suggest

T = TypeVar("T")


def read_options(
    kind: type[T], argv: Sequence[str], usage: str, *, network: bool = False, names: bool = False, flags: bool = False
) -> tuple[T, list[str]]:
    """Read a program's own options, and hand on the other arguments.

    Args:
        kind: a dataclass; ``key=value`` sets its field, of the field's type.
        argv: without the program's name. ``--help`` prints ``usage`` and exits.
        usage: the help.
        network: whether the program takes arguments of train.py, too, which say which network is meant.
        names: whether it takes arguments without a key.
        flags: whether ``--key VALUE`` is taken for ``key=VALUE``, as earlier versions had it.

    Raises:
        UserError: an unknown option, one without a value, or a required one (without a default) that is missing.
        omegaconf's: a value of another type, which `assemble.complaints.explanation` puts into words.
    """
    from omegaconf import OmegaConf

    from assemble.schema import Config

    answer_help(argv, usage)
    own = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    of_train = ["recipe", *(field.name for field in dataclasses.fields(Config))] if network else []
    mine, others = [], []
    for argument in without_flags(kind, argv) if flags else argv:
        key, equals, _ = argument.partition("=")
        if equals and key in own:
            mine.append(argument)
        elif equals and re.split(r"[.@/]", key.lstrip("+~"))[0] in of_train:
            others.append(argument)
        elif equals or argument.startswith("-") or not names:
            raise UserError(suggest("option", key, [*own, *of_train]))
        else:
            others.append(argument)
    config = OmegaConf.merge(OmegaConf.structured(kind), read_values(kind, mine))
    for name in own:
        if OmegaConf.is_missing(config, name):
            raise UserError(f"{name} is not set: give it as {name}=...; --help says more")
    options: Any = OmegaConf.to_object(config)
    return options, others


def read_values(kind: type, arguments: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` arguments, keys of a typed configuration, which may have dots in them.

    Raises:
        UserError: an unknown key, a key twice, a value that Hydra's grammar cannot read, none, or several.
    """
    values: dict[str, Any] = {}
    for override in parse(list(arguments)):
        key, line = override.key_or_group, str(override.input_line)
        if override.is_add() or override.is_force_add() or override.is_delete():
            raise UserError(f"{line}: write {key}=VALUE, without a sign before it")
        check_schema(key.split("."), kind)
        several = _takes_several(kind, key.split("."))
        if override.is_sweep_override():
            how = f"Write {key}=[..]" if several else f"For one value with a comma in it write {quoted(line)}"
            raise UserError(f"{line} is a sweep, and only train.py -m has several runs. {how}")
        if key in values:
            raise UserError(f"{line}: {key} is given twice")
        value = override.value()
        if value == "":
            raise UserError(f"{line} is empty: write {key}=VALUE, or leave it out")
        values[key] = [str(value)] if several and isinstance(value, str | int | float) else value
    return values


def _takes_several(kind: Any, parts: Sequence[str]) -> bool:
    """Return True where the key is a list's."""
    for part in parts:
        kind = get_type_hints(kind).get(part) if dataclasses.is_dataclass(kind) else None
    return str(kind).startswith("list[")


def answer_help(argv: Sequence[str], usage: str) -> None:
    """Print the usage and exit where ``--help`` is among the arguments."""
    if {"-h", "--help"} & set(argv):
        print(usage.strip(), flush=True)
        raise SystemExit(0)


def without_flags(kind: type, argv: Sequence[str]) -> list[str]:
    """Turn ``--key VALUE`` and ``--key=VALUE`` into ``key=VALUE``, and the ``--key`` of a yes or no into ``key=true``.

    What the shell has read already is not read again: the value is quoted. Those of a list's key are put together.
    """
    hints, lists, plain = get_type_hints(kind), dict[str, list[str]](), list[str]()
    arguments = iter(argv)
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or key not in hints:
            plain.append(argument)
        elif hints[key] is bool:
            plain.append(f"{key}={value or 'true'}")
        else:
            value = value if equals else next(arguments, "")
            if not value:
                raise UserError(f"--{key} has no value: write {key}=VALUE")
            if _takes_several(kind, [key]):
                lists.setdefault(key, []).extend(value.strip("[]").split(","))
            else:
                plain.append(f"{key}={_in_quotes(value)}")
    return [*plain, *(f"{key}=[{','.join(map(_in_quotes, values))}]" for key, values in lists.items())]


def _in_quotes(value: str) -> str:
    """Quote a value so that Hydra's grammar takes it as it is."""
    return '"' + value.replace('"', '\\"') + '"'


def check_network(overrides: Sequence[str], sweep: bool = False) -> list[str]:
    """Check arguments of train.py given to another program; return them with ``data=imagenet`` where none is chosen.

    Raises:
        UserError: anything misspelt, unknown or contradictory; several values where ``sweep`` is false.
    """
    check_arguments(["-m", *overrides] if sweep else overrides)
    keys = {override.partition("=")[0] for override in overrides}
    return list(overrides) if {"recipe", "data"} & keys else ["data=imagenet", *overrides]
