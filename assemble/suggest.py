"""What to say of a name that is not known."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

LISTED = 12
"""Names that a message may hold. Of tricks and recipes there are more, and ``--help recipe`` tells what each is."""


def suggest(kind: str, name: object, options: Iterable[str], *, group: str | None = None, prefix: str = "") -> str:
    """Say in one line that ``name`` is unknown, what was perhaps meant, and what there is.

    Args:
        kind: what the name should have been, in the user's words.
        name: what was given.
        options: the names that there are.
        group: what ``--help`` is asked for the options; where they are very many, that is pointed at.
        prefix: what stands before the name and each option.
    """
    known = list(options)
    close = _closest(str(name), known)
    hint = f" Did you mean '{prefix}{close}'?" if close else ""
    return f"unknown {kind} '{prefix}{name}'.{hint} {available([prefix + option for option in known], group)}"


def available(options: Sequence[str], group: str | None = None) -> str:
    """Say which options there are; of very many only how many, and which ``--help`` lists them."""
    if group is not None and len(options) > LISTED:
        return f"There are {len(options)}: python train.py --help {group}".rstrip()
    return f"Available: {', '.join(options) or 'none'}"


def _closest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is most like ``name``; of several that are alike, the one nearest in its number."""

    def distance(other: str) -> tuple[float, int]:
        ratio = difflib.SequenceMatcher(None, other, name).ratio()
        return -ratio, abs(_number(other) - _number(name))

    return min(difflib.get_close_matches(name, known, n=5), key=distance, default=None)


def _number(name: str) -> int:
    return int("".join(filter(str.isdecimal, name)) or 0)


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
    known = dict.fromkeys([*(field.name for field in fields), *groups])
    return suggest("key", name, known, prefix=prefix, group=parent.rpartition(".")[2] or None)
