"""Which combinations of tricks an ablation trains. Knows nothing of runs, Hydra or what a trick is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

from assemble.errors import UserError, require
from assemble.sweeper_options import Mode

Subset = tuple[str, ...]
"""Tricks that are on, in the order of all tricks."""

Refusal = Callable[[Subset], str | None]
"""Why a subset cannot be trained; None where it can."""

MOST_FACTORS = 12
"""Tricks up to which a factorial design is taken for meant: 4,096 combinations."""

PATIENCE = 1000
"""Draws for each order that is looked for, where not every order can be trained."""


@dataclass(frozen=True)
class PlannedRow:
    """One line of the table to come."""

    label: str
    tricks: Subset


@dataclass(frozen=True)
class Design:
    """The rows to train, those that cannot be with the reason, and the orders along which gains are to be read."""

    rows: list[PlannedRow]
    orders: list[Subset]
    refused: list[tuple[PlannedRow, str]]


def design(mode: Mode, tricks: Subset, refusal: Refusal, *, orders: int = 10, seed: int = 0) -> Design:
    """Return the combinations of ``tricks`` that a mode asks for, each once.

    ``orders`` and ``seed`` are for `Mode.shapley`: the value of a trick is its mean gain over random orders in which
    the tricks are added (Castro et al. 2009, doi 10.1016/j.cor.2008.04.004). All orders are taken where there are no
    more than ``orders``, which makes it exact. Orders that come through a refused combination are left out.

    Raises:
        UserError: nothing of it can be trained.
    """
    refused: dict[Subset, str] = {}
    taken: list[Subset] = [tricks] if mode is Mode.cumulative else []
    if mode is Mode.shapley:
        taken, refused = _orders(tricks, refusal, orders, seed)
    subsets = dict.fromkeys(_subsets(mode, tricks, taken))
    refused |= {subset: reason for subset in subsets if (reason := refusal(subset))}
    rows = [PlannedRow(_label(mode, tricks, subset), subset) for subset in subsets if subset not in refused]
    if not rows:
        raise UserError(f"no combination of {', '.join(tricks)} can be trained: {next(iter(refused.values()))}")
    return Design(rows, taken, [(PlannedRow(_label(mode, tricks, s), s), reason) for s, reason in refused.items()])


def _subsets(mode: Mode, tricks: Subset, orders: Sequence[Subset]) -> Iterator[Subset]:
    n = len(tricks)
    match mode:
        case Mode.cumulative | Mode.shapley:
            for order in orders:
                yield from _way(tricks, order)
        case Mode.leave_one_out:
            yield tricks
            yield from (tuple(t for t in tricks if t != left) for left in tricks)
        case Mode.one_at_a_time | Mode.pairs | Mode.factorial:
            require(
                (
                    mode is not Mode.factorial or n <= MOST_FACTORS,
                    f"a factorial design of {n} tricks has {2**n:,} combinations: name at most {MOST_FACTORS} with "
                    "hydra.sweeper.tricks=[..], or take hydra.sweeper.mode=shapley",
                )
            )
            most = {Mode.one_at_a_time: 1, Mode.pairs: 2}.get(mode, n)
            for size in range(most + 1):
                yield from combinations(tricks, size)


def _way(tricks: Subset, order: Subset) -> Iterator[Subset]:
    """Yield the combinations from none to all along an order."""
    for size in range(len(order) + 1):
        on = set(order[:size])
        yield tuple(t for t in tricks if t in on)


def _orders(tricks: Subset, refusal: Refusal, count: int, seed: int) -> tuple[list[Subset], dict[Subset, str]]:
    """Draw different random orders that can be trained all the way.

    For each reason against an order, a combination is returned as well.
    """
    if count < 1:
        raise UserError(f"hydra.sweeper.permutations={count} must be at least 1")
    every = math.factorial(len(tricks)) <= count
    taken: dict[Subset, None] = {}
    reasons: dict[str, Subset] = {}
    for order in permutations(tricks) if every else _draws(tricks, PATIENCE * count, seed):
        if order in taken:
            continue
        stopped = next(((s, reason) for s in _way(tricks, order) if (reason := refusal(s))), None)
        if stopped is None:
            taken[order] = None
            if len(taken) == count:
                break
        elif len(stopped[0]) < len(reasons.get(stopped[1], tricks)) or stopped[1] not in reasons:
            reasons[stopped[1]] = stopped[0]
    refused = {subset: reason for reason, subset in reasons.items()}
    if not taken:
        why = "; ".join(refused.values())
        raise UserError(f"no order of {', '.join(tricks)} can be trained from none of them to all: {why}")
    return list(taken), refused


def _draws(tricks: Subset, count: int, seed: int) -> Iterable[Subset]:
    rng = random.Random(seed)
    return (tuple(rng.sample(tricks, len(tricks))) for _ in range(count))


def _label(mode: Mode, tricks: Subset, subset: Subset) -> str:
    if mode is Mode.leave_one_out:
        return "".join(f"- {left}" for left in tricks if left not in subset) or "all"
    if mode is Mode.cumulative and subset:
        return f"+ {subset[-1]}"
    return " + ".join(subset) or "base"
