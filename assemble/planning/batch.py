"""The global batch of one optimizer step, and how it is split over devices and accumulation steps."""

from __future__ import annotations

from dataclasses import dataclass

from assemble.errors import UserError
from assemble.schema import Config


@dataclass(frozen=True)
class Batch:
    """How the global batch of one optimizer step is split."""

    total: int
    devices: int
    accumulate: int

    @property
    def micro(self) -> int:
        """Images of one forward pass on one device."""
        return self.total // (self.devices * self.accumulate)

    def __str__(self) -> str:
        parts = [f"{self.devices} device" + "s" * (self.devices > 1), f"{self.micro} images"]
        if self.accumulate > 1:
            parts.insert(1, f"{self.accumulate} accumulation steps")
        return f"{self.total} = " + " x ".join(parts)


def batch_of(cfg: Config) -> Batch:
    """The split of ``data.batch_size``.

    Raises:
        UserError: it does not divide evenly.
    """
    devices = cfg.trainer.devices * cfg.trainer.num_nodes
    accumulate = cfg.trainer.accumulate_grad_batches
    if min(devices, accumulate, cfg.data.batch_size) < 1:
        raise UserError(
            "trainer.devices, trainer.num_nodes, trainer.accumulate_grad_batches and data.batch_size must be at least 1"
        )
    if cfg.data.batch_size % (devices * accumulate):
        raise UserError(
            f"data.batch_size={cfg.data.batch_size} is the global batch of one optimizer step and does not divide by "
            f"{devices} devices x {accumulate} accumulation steps: take a multiple of {devices * accumulate}"
        )
    return Batch(cfg.data.batch_size, devices, accumulate)
