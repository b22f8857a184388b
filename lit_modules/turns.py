"""Which batch trick acts on a batch: one, by the tricks' shares."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from tricks.base import BatchTrick


def turn(tricks: Sequence[BatchTrick], rng: np.random.Generator) -> BatchTrick | None:
    """Draw the trick that mixes this batch; None: it stays as it is.

    Each acts with the probability of its ``share``; shares that sum to more than 1 are divided by their sum, so two
    whole ones take even turns. Nothing is drawn where nothing is open.

    Args:
        tricks: as they are at this moment of the training (`tricks.base.Trick.at`).
        rng: of this batch.
    """
    shares = [trick.share for trick in tricks]
    if len(tricks) > 1 and set(shares) == {1.0}:
        return tricks[int(rng.integers(len(tricks)))]
    if shares in ([], [1.0]):
        return tricks[0] if tricks else None
    drawn = rng.random() * max(1.0, sum(shares))
    return next((trick for trick, end in zip(tricks, accumulate(shares), strict=True) if drawn < end), None)
