"""One progress bar for the whole training."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar

from assemble.progress_bar import bar
from lit_modules.classifier import Classifier


class Progress(ProgressBar):
    """Steps done, time left, the last logged loss and the last validation accuracy; on rank 0, on stderr.

    Lightning's bar collects metrics at every redraw and starts a new bar for each epoch and validation; here a step
    costs a few microseconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: Any = None
        self.shown = True

    def disable(self) -> None:
        """Show no progress; Lightning calls this on all ranks but the first."""
        self.shown = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total = int(trainer.estimated_stepping_batches)
        self.bar = bar("training", "step", total=total, initial=trainer.global_step, shown=self.shown)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.bar.update(trainer.global_step - self.bar.n)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.bar is None:
            return
        assert isinstance(pl_module, Classifier)
        scores = {"epoch": f"{trainer.current_epoch + 1}/{trainer.max_epochs}", "loss": f"{pl_module.last_loss:.3f}"}
        if "val/top1" in trainer.callback_metrics:
            scores["val top-1"] = f"{float(trainer.callback_metrics['val/top1']):.2f}"
        self.bar.set_postfix(scores, refresh=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()  # what is said about it begins on a line of its own

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
