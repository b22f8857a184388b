"""Which image goes where: the epoch's order, cut into optimizer steps, devices and micro-batches.

Legend: k images drawn per image the network sees, a micro-batches per optimizer step, w devices (ranks),
b images the network sees per micro-batch, r appearances of an image in a row (repeated augmentation).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.random.bit_generator import ISeedSequence

Draw = tuple[int, int, int]
"""(epoch, draw, index): names one appearance of one image, and so its augmentation."""


class _Hash(ISeedSequence):
    """What a generator starts from: NumPy's own `SeedSequence` takes ten times as long, too long for every image."""

    def __init__(self, key: tuple[int, ...]) -> None:
        self.key = key

    def generate_state(self, n_words: int, dtype: type[np.generic] = np.uint32) -> np.ndarray:  # type: ignore[override]
        text = ",".join(map(str, self.key)).encode()
        return np.frombuffer(hashlib.blake2b(text, digest_size=n_words * np.dtype(dtype).itemsize).digest(), dtype)


def rng_of(*key: int) -> np.random.Generator:
    """Return a generator that follows from these numbers alone, no global or worker state.

    Other numbers, other streams.
    """
    return np.random.Generator(np.random.PCG64(_Hash(key)))  # type: ignore[arg-type]  # documented, not in the stubs


class EpochSampler(Iterable[Draw]):
    """Yields this rank's (epoch, draw, index) triples, micro-batch by micro-batch.

    An epoch is a permutation of the data set, k of them one after the other, cut into whole optimizer steps of
    k*a*w*b images; the rest is dropped. Within a step the images have the layout (k, a, b, w): the step's images,
    and which of them are partners in mixup, are the same however the global batch is split over ranks and
    micro-batches. A micro-batch is k runs of b images, partners b apart.

    With r repeats each image of a permutation appears r times in a row, which spreads its appearances over the ranks
    (as in DeiT's sampler). The epoch keeps its length, so it sees one r-th of the images.

    ``drawn`` draws another pass over the images in the place of a permutation: positions, as many as there are images.

    With ``same`` every epoch is the first one again, augmentations included.
    """

    def __init__(
        self,
        length: int,
        micro_batch: int,
        *,
        accumulate: int = 1,
        images_per_target: int = 1,
        repeats: int = 1,
        drawn: Callable[[np.random.Generator], np.ndarray] | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        same: bool = False,
    ) -> None:
        self.length = length
        self.layout = (images_per_target, accumulate, micro_batch, world)
        self.repeats = repeats
        self.drawn = drawn
        self.steps = length // (accumulate * world * micro_batch)
        self.seed = seed
        self.rank = rank
        self.same = same
        self.epoch = 0
        self.start = 0  # images at the beginning of the epoch that a resumed run has already seen

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        draws, accumulate, micro_batch, _ = self.layout
        return self.steps * draws * accumulate * micro_batch

    def __iter__(self) -> Iterator[Draw]:
        draws, r = self.layout[0], self.repeats
        epoch = 0 if self.same else self.epoch
        rngs = [rng_of(self.seed, epoch, d) for d in range(draws)]
        passes = [self.drawn(rng) if self.drawn else rng.permutation(self.length) for rng in rngs]
        order = np.concatenate([images.repeat(r)[: self.length] for images in passes])
        draw = np.concatenate([d * r + np.arange(self.length) % r for d in range(draws)])
        if self.drawn:  # of an image's many appearances, no two are augmented alike
            draw = appearances(order)
        for d, i in zip(self._share(draw).tolist(), self._share(order).tolist(), strict=True):
            yield epoch, d, i

    def _share(self, stream: np.ndarray) -> np.ndarray:
        """Return this rank's part of the epoch's stream (k * length,), in the order in which it is loaded."""
        used = stream[: self.steps * int(np.prod(self.layout))]
        mine = used.reshape(self.steps, *self.layout)[..., self.rank]  # (steps, k, a, b)
        return mine.swapaxes(1, 2).reshape(-1)[self.start :]


def appearances(order: np.ndarray) -> np.ndarray:
    """Return for each entry how often it came before: [5, 3, 5, 5] -> [0, 0, 1, 2]."""
    by_value = np.argsort(order, kind="stable")
    number = np.arange(len(order))
    first = np.r_[True, np.diff(order[by_value]) != 0]
    counts = np.empty_like(number)
    counts[by_value] = number - np.maximum.accumulate(np.where(first, number, 0))
    return counts


def eval_batches(length: int, batch: int, rank: int = 0, world: int = 1) -> list[list[int]]:
    """Split this rank's images ``rank::world`` into batches of up to ``batch`` (and of 2, if shards of 1s are uneven).

    Every image is scored exactly once, over all ranks, and every rank has the same *number* of batches: DDP
    broadcasts the batch norm buffers in every forward pass, validation included, so one batch more on one rank would
    hang. None is empty as long as there are ``world`` images.
    """
    count = min(-(-length // (world * batch)), length // world)
    return [part.tolist() for part in np.array_split(np.arange(length)[rank::world], count)]
