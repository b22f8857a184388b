"""What is watched of a training beside its loss, logged with it (``trainer.monitors``). It changes no bit of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.suggest import suggest
from lit_modules.classifier import Classifier

MONITORS = {
    "grad_norm": "norm of the whole gradient, before it is clipped",
    "images_per_second": "images trained on, over all devices, loading included and validation not",
    "memory": "MiB: the peak of the first GPU's memory, elsewhere what the process has now",
    "time_left": "seconds to the end of the training, at the pace so far, validation included",
}
"""Name, under ``monitor/`` in metrics.csv and in the trackers -> what it is."""


def check_monitors(names: Iterable[str]) -> None:
    """Raise `UserError` for a name that is none of `MONITORS`."""
    for name in names:
        if name not in MONITORS:
            raise UserError(suggest("monitor", name, MONITORS))


class Monitors(Callback):
    """Gives the classifier, whenever it logs its loss, the chosen numbers to log with it.

    Args:
        names: of `MONITORS`.
        images: of one optimizer step, over all devices.
    """

    def __init__(self, names: Iterable[str], images: int) -> None:
        self.names, self.images = set(names), images
        self._began = self._since = 0.0
        self._first = self._counted = 0  # optimizer steps at these times

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began, self._first = time.perf_counter(), trainer.global_step
        self._since, self._counted = self._began, self._first  # perhaps in mid-epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since, self._counted = time.perf_counter(), trainer.global_step

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        assert isinstance(pl_module, Classifier)
        if "grad_norm" in self.names and pl_module.logs_at(trainer.global_step + 1):
            pl_module.watched["monitor/grad_norm"] = float(gradient_norm(pl_module))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Classifier)
        if not pl_module.logs_at(trainer.global_step):
            return
        now, step = time.perf_counter(), trainer.global_step
        if "images_per_second" in self.names and step > self._counted:
            rate = (step - self._counted) * self.images / (now - self._since)
            pl_module.watched["monitor/images_per_second"] = rate
        self._since, self._counted = now, step
        if "time_left" in self.names and step > self._first:
            pace = (now - self._began) / (step - self._first)
            pl_module.watched["monitor/time_left"] = pace * (trainer.estimated_stepping_batches - step)
        if "memory" in self.names and (size := memory(pl_module.device)) is not None:
            pl_module.watched["monitor/memory"] = size


def gradient_norm(module: nn.Module) -> Tensor:
    """Return the 2-norm of all gradients together."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]))


def memory(device: torch.device) -> float | None:
    """Return the peak of a GPU's memory in MiB, elsewhere the process's own (its peak where that alone is known)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    statm = Path("/proc/self/statm")
    if statm.is_file():
        import resource

        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes there
    return None
