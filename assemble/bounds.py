"""The range of a number, stated beside the field that holds it: ``lr: float = bounded(0.1, above=0)``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from assemble.errors import UserError


@dataclass(frozen=True)
class Bounds:
    """Which numbers a field takes. Of a field with several numbers, each; none of them is infinite or NaN."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    count: int | None = None
    """How many numbers there must be; OmegaConf does not count those of a tuple."""
    rising: bool = False
    """Whether each number must be at least as large as the one before it."""

    def hold(self, value: float | Sequence[float]) -> bool:
        """Return True where the value is allowed."""
        numbers = list(value) if isinstance(value, Sequence) else [value]
        ordered = not self.rising or numbers == sorted(numbers)
        return (self.count is None or len(numbers) == self.count) and ordered and all(map(self._holds, numbers))

    def _holds(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        """Return the range in words, as ``at least 0 and below 1``."""
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        limits = " and ".join(f"{word} {limit:g}" for word, limit in words.items() if limit is not None)
        if self.count is None:
            return limits or "a finite number"
        numbers = f"{self.count}{' rising' * self.rising} numbers"
        return f"{numbers}, each {limits}" if limits else numbers


def bounded(
    default: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    count: int | None = None,
    rising: bool = False,
) -> Any:
    """Make a dataclass field whose numbers `check_bounds` holds to these `Bounds`."""
    return field(default=default, metadata={"bounds": Bounds(least, above, most, below, count, rising)})


def check_bounds(settings: Any, prefix: str = "") -> None:
    """Check every bounded field of a dataclass, and those of the dataclasses in it.

    Args:
        settings: the dataclass. None in a field is for its type to allow.
        prefix: what stands before the field's name on the command line, as ``optim.``.

    Raises:
        UserError: a number out of its range; names the key and the range.
    """
    for own in fields(settings):
        key, value, bounds = f"{prefix}{own.name}", getattr(settings, own.name), own.metadata.get("bounds")
        if is_dataclass(value):
            check_bounds(value, f"{key}.")
        elif bounds is not None and value is not None and not bounds.hold(value):
            shown = list(value) if isinstance(value, Sequence) else f"{value:g}" if isinstance(value, float) else value
            optional = ", or null" if own.default is None else ""
            raise UserError(f"{key} must be {bounds}{optional}, not {shown}")
