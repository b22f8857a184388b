"""Coefficients of compound scaling (arXiv 1905.11946, section 3.3): the grid of them, and what they are compared with.

A network scaled by phi has alpha^phi times the depth, beta^phi times the width, and images of gamma^phi times the
side: about (alpha * beta^2 * gamma^2)^phi times the multiply-adds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

from assemble.errors import UserError, require

TARGET = 2.0
"""What phi = 1 is to multiply the multiply-adds by."""
POWERS = {"alpha": 1, "beta": 2, "gamma": 2}
"""How multiply-adds grow with each."""
PHI = "phi"
PARAMETERS = frozenset({PHI, *POWERS})
"""Of the trick that scales: it is known by having them."""


@dataclass(frozen=True)
class Coefficients:
    """What phi = 1 multiplies depth, width and resolution by."""

    alpha: float
    beta: float
    gamma: float

    @property
    def growth(self) -> float:
        """alpha * beta^2 * gamma^2."""
        return math.prod(value**power for value, power in zip(astuple(self), POWERS.values(), strict=True))

    def settings(self, phi: float) -> dict[str, float]:
        """Return parameter of the trick -> value, as it is written on a command line."""
        values = {PHI: phi, **dict(zip(POWERS, astuple(self), strict=True))}
        return {key: float(f"{value:.6g}") for key, value in values.items()}

    def __str__(self) -> str:
        return " ".join(f"{key}={value:g}" for key, value in zip(POWERS, astuple(self), strict=True))


SINGLE = {
    "depth": Coefficients(TARGET, 1, 1),
    "width": Coefficients(1, math.sqrt(TARGET), 1),
    "resolution": Coefficients(1, 1, math.sqrt(TARGET)),
}
"""What compound scaling is compared with, at the same growth of the multiply-adds."""


def candidates(step: float, tolerance: float, chosen: Mapping[str, Sequence[float] | None]) -> list[Coefficients]:
    """Return every triple whose growth is within ``tolerance`` of 2, in rising order.

    Args:
        step: of the values, from 1 to the largest that the others, at 1, allow.
        tolerance: of alpha * beta^2 * gamma^2.
        chosen: alpha, beta, gamma -> the values to try in the place of those by ``step``.

    Raises:
        UserError: there is none, or a value that cannot be.
    """
    require(
        (0 < step < math.inf, f"hydra.sweeper.step={step:g} must be above 0"),
        (0 <= tolerance < TARGET - 1, f"hydra.sweeper.tolerance={tolerance:g} must be at least 0 and below 1"),
    )
    values = []
    for key, power in POWERS.items():
        most = (TARGET + tolerance) ** (1 / power)
        given = chosen.get(key)
        if given is None:
            given = [round(1 + step * place, 6) for place in range(int((most - 1) / step + 1e-9) + 1)]
        require(
            (bool(given), f"hydra.sweeper.{key}=[] tries nothing: name values, or null"),
            (all(1 <= value < math.inf for value in given), f"hydra.sweeper.{key}={list(given)}: each is at least 1"),
        )
        values.append(sorted(set(given)))
    triples = [Coefficients(*triple) for triple in itertools.product(*values)]
    found = [triple for triple in triples if abs(triple.growth - TARGET) <= tolerance + 1e-9]
    if not found:
        near = min(triples, key=lambda triple: abs(triple.growth - TARGET))
        raise UserError(
            f"no alpha * beta^2 * gamma^2 of the grid is within {tolerance:g} of 2 ({near}: {near.growth:.3g}): "
            "raise hydra.sweeper.tolerance, or lower hydra.sweeper.step"
        )
    return found
