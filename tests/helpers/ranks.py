"""Training in one process or, started by torchrun, in several: what each rank saw, to be compared (test_ddp.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lit_modules.classifier import Classifier
from tests.helpers.small_run import small_config, small_plan, train


class Notes(Callback):
    """Indices and images of every batch, gradients of the first step, scores, and the weights at the end.

    Batch norm is kept from looking at the batch: its statistics are each device's own, everything else is not.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {"index": [], "images": [], "targets": []}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        for module in pl_module.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        self.seen["index"].append(batch[2])
        self.seen["images"].append(batch[0])

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if trainer.global_step == 0:
            self.seen["gradients"] = [p.grad.clone() for p in pl_module.parameters() if p.grad is not None]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen["scores"] = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen["weights"] = {name: value.clone() for name, value in pl_module.state_dict().items()}
        self.seen["rank"] = trainer.global_rank


def run(devices: int, tricks: Any = (), accumulate: int = 1) -> dict[str, Any]:
    """One epoch of three steps of 32 images in all, over so many devices."""
    cfg = small_config(epochs=1)
    cfg.trainer.devices, cfg.trainer.accelerator = devices, "cpu"
    cfg.trainer.accumulate_grad_batches = accumulate
    notes, shape = Notes(), Classifier.inputs

    def inputs(self: Classifier, *arguments: Any) -> Any:
        shaped = shape(self, *arguments)
        notes.seen["targets"].append(shaped[1])
        return shaped

    Classifier.inputs = inputs  # type: ignore[method-assign]
    try:
        train(small_plan(tricks, cfg), callbacks=[notes])
    finally:
        Classifier.inputs = shape  # type: ignore[method-assign]
    return notes.seen


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in ("plain", "mixup"):
        found = run(2, [] if name == "plain" else [name])
        torch.save(found, Path(sys.argv[1]) / f"{name}{found['rank']}.pt")
