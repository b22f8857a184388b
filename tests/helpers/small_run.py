"""A few steps of a real run in this process: plan, module, Trainer, the run's callbacks, on the digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar

from assemble.planning.plan import Plan, make_plan
from assemble.runs.build import build_module, build_trainer
from assemble.schema import Config
from lit_modules.classifier import Classifier
from tricks import create
from tricks.base import CallbackTrick


def small_config(epochs: int = 2) -> Config:
    """Three steps an epoch of 32 images."""
    cfg = Config()
    cfg.model.width = 4
    cfg.data.image_size, cfg.data.batch_size = 16, 32
    cfg.optim.warmup_epochs = 0.0
    cfg.trainer.max_epochs, cfg.trainer.limit_train_batches = epochs, 0.09
    return cfg


def small_plan(tricks: Any = (), cfg: Config | None = None) -> Plan:
    return make_plan(cfg or small_config(), create(tricks))


def train(plan: Plan, directory: Path | None = None, callbacks: Any = (), **fit: Any) -> tuple[Trainer, Classifier]:
    """Fit; with a directory, best.ckpt and last.ckpt are there afterwards."""
    module = build_module(plan)
    own = [callback for trick in plan.recipe.of(CallbackTrick) for callback in trick.callbacks()]
    saving: list[Any] = []
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
        saving = [
            ModelCheckpoint(directory, "best", monitor="val/top1", mode="max", enable_version_counter=False),
            ModelCheckpoint(directory, "last", enable_version_counter=False),
        ]
    trainer = build_trainer(
        plan.cfg.trainer,
        logger=False,
        callbacks=[*own, *callbacks, *saving],
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        enable_checkpointing=bool(directory),
        limit_train_batches=plan.micro_batches_per_epoch,
    )
    trainer.fit(module, datamodule=plan.data, weights_only=True, **fit)
    return trainer, module
