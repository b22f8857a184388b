"""What is shown of a training while it runs: a bar on a terminal, and a line for each finished epoch."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar

from assemble.progress_bar import bar, say
from lit_modules.callbacks import History
from lit_modules.classifier import Classifier

FORMAT = "{desc} |{bar}| {n_fmt}/{total_fmt}{postfix}, {remaining} left"
"""Of the bar: epoch, optimizer steps of the whole training, the last logged loss, time left."""


class Progress(ProgressBar):
    """On rank 0, on stderr; elsewhere than on a terminal, the lines alone, without any control character.

    Lightning's bar collects metrics at every redraw and starts a new bar for each epoch and validation; here a step
    costs a few microseconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: Any = None
        self.shown = True
        self._best = self._loss = math.nan
        self._began = 0.0

    def disable(self) -> None:
        """Show no progress; Lightning calls this on all ranks but the first."""
        self.shown = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.monotonic()
        if self.shown and sys.stderr.isatty():
            assert isinstance(pl_module, Classifier)
            total, done = pl_module.schedule.total_steps, trainer.global_step
            self.bar = bar(_epoch(trainer), "step", total=total, initial=done, bar_format=FORMAT, leave=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.monotonic()
        if self.bar is not None:
            self.bar.set_description_str(_epoch(trainer), refresh=False)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None:
            return
        assert isinstance(pl_module, Classifier)
        if pl_module.last_loss != self._loss and math.isfinite(pl_module.last_loss):
            self._loss = pl_module.last_loss
            self.bar.set_postfix_str(f"loss {self._loss:.3f}", refresh=False)
        self.bar.update(trainer.global_step - self.bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.shown:
            return
        assert isinstance(pl_module, Classifier)
        parts = [(_epoch(trainer), 9), (f"lr {pl_module.last_lr:.3g}", 1), (f"train {pl_module.last_top1:.2f}", 3)]
        validated = trainer.callback_metrics.get("val/top1")  # None where a run goes on right behind its validation
        every = trainer.check_val_every_n_epoch
        if every and (trainer.current_epoch + 1) % every == 0 and validated is not None:
            top1 = float(validated)
            kept: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
            before = next((callback.best["top1"] for callback in kept if isinstance(callback, History)), self._best)
            self._best = top1 if math.isnan(before) else max(before, top1)
            parts += [(f"val {top1:.2f}", 8), (f"best {self._best:.2f}", 4)]
        say([*parts, (f"{time.monotonic() - self._began:.0f} s", 2)])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()  # what is said about it begins on a line of its own

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _epoch(trainer: Trainer) -> str:
    """Return which epoch this is, in one width for all of them."""
    last = str(trainer.max_epochs)
    return f"epoch {trainer.current_epoch + 1:{len(last)}}/{last}"
