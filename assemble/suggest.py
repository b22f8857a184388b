"""What to say of a name that is not known."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable

LISTED = 60
"""Names that a message may hold. Of recipes there are more, and ``--help recipe`` tells what each is."""


def suggest(kind: str, name: object, options: Iterable[str], *, group: str | None = None, prefix: str = "") -> str:
    """Say in one line that ``name`` is unknown, what was perhaps meant, and what there is.

    Args:
        kind: what the name should have been, in the user's words.
        name: what was given.
        options: the names that there are.
        group: the config group of which the options are; where they are very many, its help is pointed at.
        prefix: what stands before the name and each option.
    """
    known = list(options)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean '{prefix}{close[0]}'?" if close else ""
    known, name = [prefix + option for option in known], f"{prefix}{name}"
    if group and len(known) > LISTED:
        return f"unknown {kind} '{name}'.{hint} There are {len(known)}: python train.py --help {group}"
    return f"unknown {kind} '{name}'.{hint} Available: {', '.join(known) or 'none'}"


def unknown_key(key: str, node: type, groups: Iterable[str] = ()) -> str:
    """Say in one line that a key of the configuration is unknown, and point at one which exists a level deeper.

    Args:
        key: the whole key.
        node: the dataclass in which its last part was looked for.
        groups: names that can stand beside the dataclass's own keys.
    """
    parent, _, name = key.rpartition(".")
    prefix = f"{parent}." if parent else ""
    fields = dataclasses.fields(node)
    deeper = [
        f"'{prefix}{field.name}.{name}'"
        for field in fields
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type)
        if name in {inner.name for inner in dataclasses.fields(field.type)}
    ]
    if deeper:
        return f"unknown key '{key}'. Did you mean {' or '.join(deeper)}?"
    return suggest("key", name, dict.fromkeys([*(field.name for field in fields), *groups]), prefix=prefix)
