"""Training that can be stopped after any optimizer step, and loses little where it is killed.

A signal (`assemble.interrupts`) stops it after the step, with a checkpoint; every few minutes there is one without.
What a checkpoint in mid-epoch needs beside Lightning's own: that the last batch's logging is done, sums of the epoch
so far (`Classifier`), and the loader's position (`TrainLoader`). Randomness follows from (seed, epoch, batch, rank).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from assemble.interrupts import INTERRUPTS, Interrupts, Stopped

PATIENCE = 15.0
"""Seconds that a validation may go on after a signal: at its end there is a checkpoint of the whole epoch."""


class OurSignals(_SignalConnector):
    """Lightning's own handlers stay out: its SIGTERM broadcasts within the handler and hangs, its SIGUSR1 under SLURM
    writes a checkpoint of its own that it later prefers to the run's."""

    def register_signal_handlers(self) -> None:
        self.received_sigterm = False


def take_signals(trainer: Trainer) -> None:
    """Leave the signals of this process to `StoppableTraining`."""
    trainer._signal_connector = OurSignals(trainer)
    # It asks rank 0 at every batch whether Lightning's handler was called, and waits for the device.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None


class StoppableTraining(Callback):
    """Writes the checkpoint ``path`` in mid-epoch: when a signal has come, then ends; and every ``minutes``.

    All ranks act after the same step: after each they tell each other, on the CPU, what they have heard.
    """

    def __init__(self, path: Path, minutes: float | None, interrupts: Interrupts = INTERRUPTS) -> None:
        self.path, self.minutes, self.interrupts = path, minutes, interrupts
        self._written = time.monotonic()
        self._group: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            self._group = dist.new_group(backend="gloo")
        self._written = time.monotonic()
        self.interrupts.patient = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches or trainer.is_last_batch:
            return  # gradients are being summed up, or the epoch's own checkpoint follows
        due = self.minutes is not None and time.monotonic() - self._written >= 60 * self.minutes
        signal, due = self._agreed(self.interrupts.received or 0, due)
        if not (signal or due):
            return
        pl_module.on_train_batch_end(outputs, batch, batch_idx)  # what it logs belongs before the checkpoint
        trainer.save_checkpoint(self.path)
        self._written = time.monotonic()
        if signal:
            raise Stopped(signal)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write what was logged to disk before the checkpoint: a run that goes on logs it no more."""
        for logger in trainer.loggers:
            logger.save()

    def _agreed(self, signal: int, due: bool) -> tuple[int, bool]:
        """Return the signal and the need for a checkpoint that any rank knows of."""
        if self._group is None:
            return signal, due
        known = torch.tensor([signal, int(due)])
        dist.all_reduce(known, dist.ReduceOp.MAX, group=self._group)
        return int(known[0]), bool(known[1])

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        received = self.interrupts.received
        if received and time.monotonic() - self.interrupts.since > PATIENCE:
            raise Stopped(received)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop on a signal since the last step of the epoch before, whose checkpoint is written."""
        signal, _ = self._agreed(self.interrupts.received or 0, False)
        if signal:
            raise Stopped(signal)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.interrupts.patient = False
        if self.interrupts.received:
            raise Stopped(self.interrupts.received)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.interrupts.patient = False
