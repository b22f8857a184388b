"""What to say of a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = 60
"""Names that a message may hold. Of recipes there are more, and ``--help recipe`` tells what each is."""


def suggest(kind: str, name: object, options: Iterable[str], *, group: str | None = None) -> str:
    """Say in one line that ``name`` is unknown, what was perhaps meant, and what there is.

    Args:
        kind: what the name should have been, in the user's words.
        name: what was given.
        options: the names that there are.
        group: the config group of which the options are; where they are very many, its help is pointed at.
    """
    known = list(options)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    if group and len(known) > LISTED:
        return f"unknown {kind} '{name}'.{hint} There are {len(known)}: python train.py --help {group}"
    return f"unknown {kind} '{name}'.{hint} Available: {', '.join(known) or 'none'}"
