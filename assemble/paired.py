"""What the benchmarks share: interleaved rounds, and ratios with their spread."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence


def interleave(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every case once a round, in an order that turns around each round; return what they gave, by case."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for i in range(rounds):
        for name in list(cases)[:: -1 if i % 2 else 1]:
            taken[name].append(cases[name]())
    return taken


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Return the values as ``median (min-max, n=...)``."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f}, n={len(values)})"


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return ``above / below``, round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def differences(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Return ``of - to``, round by round."""
    return [a - b for a, b in zip(of, to, strict=True)]


def verdict(what: str, value: float, limit: float, unit: str = "") -> bool:
    """Print and return whether a median keeps to its limit."""
    fine = value <= limit
    print(f"{'ok  ' if fine else 'MISS'} {what}: {value:.3f}{unit}, at most {limit:g}{unit}")
    return fine


def conditions() -> str:
    """Return the number of the machine's cores, and how busy it is with other work."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, load {' '.join(f'{load:.2f}' for load in os.getloadavg())}"
