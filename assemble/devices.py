"""The device that this process computes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assemble.errors import UserError
from assemble.suggest import suggest

if TYPE_CHECKING:
    import torch

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
"""Names of Lightning's that are known here, too."""


def device_of(accelerator: str) -> torch.device:
    """Return the device that ``trainer.accelerator`` means here; of several GPUs this process's (LOCAL_RANK).

    Raises:
        UserError: there is none.
    """
    import torch

    if accelerator not in ACCELERATORS:
        raise UserError(suggest("trainer.accelerator", accelerator, ACCELERATORS))
    if accelerator != "cpu":
        if accelerator != "mps" and torch.cuda.is_available():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if accelerator not in ("gpu", "cuda") and torch.backends.mps.is_available():
            return torch.device("mps")
        if accelerator != "auto":
            raise UserError(f"trainer.accelerator={accelerator} cannot be had here: leave it out")
    return torch.device("cpu")


def cores() -> int:
    """Return the number of CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_beside(accelerator: str) -> torch.device:
    """Return `device_of` for what is computed beside a training.

    The accelerator of the training may be one that Lightning alone knows.
    """
    return device_of(accelerator if accelerator in ACCELERATORS else "auto")
