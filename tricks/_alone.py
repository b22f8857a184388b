"""What lets a trick's function be used alone, in a plain loop: names in the place of enums, and a generator if any."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

import numpy as np
import torch

from assemble.errors import UserError
from assemble.suggest import suggest

E = TypeVar("E", bound=Enum)

Draws = np.random.Generator | torch.Generator | int | None
"""What a function draws from: a generator of NumPy's or torch's, a seed, or, for None, torch's own generator."""


def generator_of(draws: Draws) -> np.random.Generator:
    """Return what to draw from: NumPy's as it is; of torch's, each call takes a number, so that no two are alike."""
    if isinstance(draws, np.random.Generator):
        return draws
    if isinstance(draws, int):
        return np.random.default_rng(draws)
    device = draws.device if draws is not None else "cpu"
    return np.random.default_rng(int(torch.randint(2**62, (), generator=draws, device=device)))


def named(kind: type[E], name: E | str) -> E:
    """Return the member of that name, or the member itself.

    Raises:
        UserError: there is none.
    """
    try:
        return kind(name)
    except ValueError:
        raise UserError(suggest(kind.__name__.lower(), name, [str(member.value) for member in kind])) from None
