"""The global batch of one optimizer step, and how it is split over devices and accumulation steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assemble.errors import UserError
from assemble.planning.resolve import drawing_alike
from assemble.schema import Config

if TYPE_CHECKING:
    from tricks.base import Trick


@dataclass(frozen=True)
class Batch:
    """How the global batch of one optimizer step is split."""

    total: int
    devices: int
    accumulate: int
    images_per_target: int = 1
    """Images drawn for each that the network sees; several batch tricks agree on it (`planning.resolve`)."""

    @property
    def micro(self) -> int:
        """Images of one forward pass on one device."""
        return self.total // (self.devices * self.accumulate)

    def __str__(self) -> str:
        parts = [f"{self.devices} device" + "s" * (self.devices > 1), f"{self.micro} images"]
        if self.accumulate > 1:
            parts.insert(1, f"{self.accumulate} accumulation steps")
        return f"{self.total} = " + " x ".join(parts)


def batch_of(cfg: Config, tricks: Sequence[Trick] = ()) -> Batch:
    """Split ``data.batch_size``.

    Raises:
        UserError: it does not divide evenly, or a trick cannot mix what one device then sees.
    """
    from tricks.base import BatchTrick

    devices = cfg.trainer.devices * cfg.trainer.num_nodes
    accumulate = cfg.trainer.accumulate_grad_batches
    if cfg.data.batch_size % (devices * accumulate):
        raise UserError(
            f"data.batch_size={cfg.data.batch_size} is the global batch of one optimizer step and does not divide by "
            f"{devices} devices x {accumulate} accumulation steps: take a multiple of {devices * accumulate}"
        )
    mixers = [trick for trick in drawing_alike(tricks) if isinstance(trick, BatchTrick)]
    batch = Batch(cfg.data.batch_size, devices, accumulate, mixers[0].images_per_target if mixers else 1)
    for mixer in mixers:
        mixer.check_batch(batch.micro)
    return batch
