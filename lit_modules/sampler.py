"""Which picture goes where: the epoch's order, cut into optimizer steps, devices and micro-batches.

Legend: k pictures drawn per picture the network sees, a micro-batches per optimizer step, w devices (ranks),
b pictures the network sees per micro-batch, r appearances of a picture in a row (repeated augmentation).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

ORDER = 2**32 - 1
"""Takes the place of a picture's index in the key of the epoch's order: no picture has this index.

(Leaving it out would not do: NumPy pads keys with zeros, so the order would share picture 0's stream.)
"""

Draw = tuple[int, int, int]
"""(epoch, draw, index): names one appearance of one picture, and so its augmentation."""


def picture_rng(seed: int, draw: Draw) -> np.random.Generator:
    """The generator of one picture's augmentation. No global or worker state is involved."""
    return np.random.default_rng([seed, *draw])


class EpochSampler(Sampler[Draw]):
    """Yields this rank's (epoch, draw, index) triples, micro-batch by micro-batch.

    An epoch is a permutation of the data set, k of them one after the other, cut into whole optimizer steps of
    k*a*w*b pictures; the rest is dropped. Within a step the pictures have the layout (k, a, b, w): the step's pictures,
    and which of them are partners in mixup, are the same however the global batch is split over ranks and
    micro-batches. A micro-batch is k runs of b pictures, partners b apart.

    With r repeats each picture of a permutation appears r times in a row, which spreads its appearances over the ranks
    (as in DeiT's sampler). The epoch keeps its length, so it sees one r-th of the pictures.
    """

    def __init__(
        self,
        length: int,
        micro_batch: int,
        *,
        accumulate: int = 1,
        images_per_target: int = 1,
        repeats: int = 1,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.length = length
        self.layout = (images_per_target, accumulate, micro_batch, world)
        self.repeats = repeats
        self.steps = length // (accumulate * world * micro_batch)
        self.seed = seed
        self.rank = rank
        self.epoch = 0
        self.start = 0  # pictures at the beginning of the epoch that a resumed run has already seen

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        draws, accumulate, micro_batch, _ = self.layout
        return self.steps * draws * accumulate * micro_batch

    def __iter__(self) -> Iterator[Draw]:
        draws, r = self.layout[0], self.repeats
        rngs = [np.random.default_rng([self.seed, self.epoch, d, ORDER]) for d in range(draws)]
        order = np.concatenate([rng.permutation(self.length).repeat(r)[: self.length] for rng in rngs])
        draw = np.concatenate([d * r + np.arange(self.length) % r for d in range(draws)])
        epoch = self.epoch
        for d, i in zip(self._share(draw).tolist(), self._share(order).tolist(), strict=True):
            yield epoch, d, i

    def _share(self, stream: np.ndarray) -> np.ndarray:
        """This rank's part of the epoch's stream (k * length,), in the order in which it is loaded."""
        used = stream[: self.steps * int(np.prod(self.layout))]
        mine = used.reshape(self.steps, *self.layout)[..., self.rank]  # (steps, k, a, b)
        return mine.swapaxes(1, 2).reshape(-1)[self.start :]


def eval_batches(length: int, batch: int, rank: int = 0, world: int = 1) -> list[list[int]]:
    """This rank's pictures ``rank::world`` in batches of at most ``batch`` (and of 2, where shards of 1s are uneven).

    Every picture is scored exactly once, over all ranks, and every rank has the same *number* of batches: DDP
    broadcasts the batch norm buffers in every forward pass, validation included, so one batch more on one rank would
    hang. None is empty as long as there are ``world`` pictures.
    """
    count = min(-(-length // (world * batch)), length // world)
    return [part.tolist() for part in np.array_split(np.arange(length)[rank::world], count)]
