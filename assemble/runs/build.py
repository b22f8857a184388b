"""From a plan to its objects: network, LightningModule, callbacks and Trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.plugins import MixedPrecision
from torch import nn

from assemble.errors import UserError
from assemble.models.weights import load_weights
from assemble.planning.network import initial_weights
from assemble.planning.plan import Plan
from assemble.runs.code import Code
from assemble.runs.environment import hardware
from assemble.schema import TrainerConfig
from lit_modules.callbacks import Ending, History, MovingStrengths, Stretches
from lit_modules.checkpoints import LAST, ConfigInCheckpoint, RunCheckpoint, WholeFiles
from lit_modules.classifier import Classifier
from lit_modules.freezing import freeze
from lit_modules.loss_scale import StaticLossScale
from lit_modules.monitors import Monitors
from lit_modules.progress import Progress
from lit_modules.stopping import StoppableTraining, take_signals
from lit_modules.trainer_arguments import own_callbacks
from tricks.base import BatchTrick, CallbackTrick, Companion, DataTrick, LossTrick, ModelTrick, OptimTrick


def build_module(plan: Plan) -> Classifier:
    """Build the network in its LightningModule, with the weights that it starts from if there are any."""
    cfg = plan.cfg
    torch.manual_seed(cfg.seed)
    network = plan.recipe.spec.build()
    if weights := initial_weights(cfg.model):
        load_weights(
            network,
            weights,
            new_head=cfg.model.new_head,
            statistics=cfg.model.restore_statistics,
        )
    if cfg.trainer.sync_batchnorm and plan.batch.devices > 1:
        from timm.layers.norm_act import convert_sync_batchnorm  # torch's own drops timm's fused activations

        network = convert_sync_batchnorm(network)
    if cfg.model.freeze is not None:
        freeze(network, cfg.model.freeze)
    if cfg.trainer.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if cfg.trainer.compile:
        network.compile()
    return build_classifier(plan, network, build_companions(plan))


def build_companions(plan: Plan) -> list[Companion | None]:
    """Return what each loss trick brings along for the pictures; what takes long to make, a trick keeps on disk."""
    return [trick.companion(plan) for trick in plan.recipe.of(LossTrick)]


def build_classifier(plan: Plan, network: nn.Module, companions: Sequence[Companion | None]) -> Classifier:
    """Build the LightningModule around a network: the training step of the plan."""
    cfg = plan.cfg
    return Classifier(
        network,
        num_classes=plan.num_classes,
        optim=plan.optim,
        schedule=plan.schedule,
        mean=cfg.data.mean,
        std=cfg.data.std,
        label_offset=cfg.data.label_offset,
        data_tricks=plan.recipe.of(DataTrick),
        batch_tricks=plan.recipe.of(BatchTrick),
        loss_tricks=[trick.prepared(plan) for trick in plan.recipe.of(LossTrick)],
        companions=companions,
        optim_tricks=plan.recipe.of(OptimTrick),
        seed=cfg.seed,
        log_every=cfg.trainer.log_every_n_steps,
        ece_bins=cfg.eval.ece_bins,
        memory_format=torch.channels_last if cfg.trainer.channels_last else torch.contiguous_format,
    )


def build_trainer(cfg: TrainerConfig, **more: Any) -> Trainer:
    """Build Lightning's Trainer; ``limit_train_batches`` is the caller's to give: a `Plan` knows it in micro-batches.

    Raises:
        UserError: devices, precision or strategy that this machine has not.
    """
    # Not max_steps: then Lightning takes a checkpoint of an epoch's end for one within it. `Ending` counts the steps.
    length = {"check_val_every_n_epoch": cfg.val_every_epochs}
    try:
        trainer = Trainer(
            max_epochs=cfg.max_epochs,
            devices=cfg.devices,
            num_nodes=cfg.num_nodes,
            accelerator=cfg.accelerator,
            strategy=cfg.strategy,
            precision=cfg.precision if cfg.loss_scale is None else None,  # type: ignore[arg-type]
            accumulate_grad_batches=cfg.accumulate_grad_batches,
            gradient_clip_val=cfg.gradient_clip_val,
            deterministic=cfg.deterministic,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            plugins=[WholeFiles(), *loss_scaling(cfg)],
            **{**length, **cfg.args, **more},
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        if isinstance(error, TypeError) and not cfg.args:
            raise
        reason = " ".join(str(error).split())
        raise UserError(
            f"trainer.accelerator={cfg.accelerator} trainer.devices={cfg.devices} trainer.strategy={cfg.strategy} "
            f"trainer.precision={cfg.precision}{f' trainer.args={cfg.args}' if cfg.args else ''} cannot be had here: "
            f"{reason}"
        ) from error
    take_signals(trainer)
    half = cfg.precision.startswith("16")
    if half and trainer.strategy.root_device.type == "cpu":  # Lightning would take bf16-mixed for 16-mixed
        raise UserError(f"trainer.precision={cfg.precision} needs a GPU: on a CPU take bf16-mixed or 32-true")
    return trainer


def loss_scaling(cfg: TrainerConfig) -> list[MixedPrecision]:
    """Return what takes the place of ``trainer.precision`` where the loss scale is fixed.

    Raises:
        UserError: this machine has no CUDA GPU.
    """
    if cfg.loss_scale is None:
        return []
    if not torch.cuda.is_available():
        raise UserError(f"trainer.loss_scale={cfg.loss_scale:g} needs a CUDA GPU: set it to null")
    return [MixedPrecision("16-mixed", "cuda", StaticLossScale(cfg.loss_scale))]


def build_training_callbacks(plan: Plan, config: dict[str, Any]) -> list[Callback]:
    """Build the callbacks that belong to training itself, wherever it is run; ``config`` goes into checkpoints."""
    assert plan.data is not None
    return [
        ConfigInCheckpoint(config, plan.data.identity.digest, plan.batch.micro),
        MovingStrengths(plan.recipe.of(ModelTrick)),
        *([Monitors(watched, plan.batch.total)] if (watched := plan.cfg.trainer.monitors) else []),
        *([Progress()] if plan.cfg.trainer.progress_bar else []),
        *(callback for trick in plan.recipe.of(CallbackTrick) for callback in trick.callbacks()),
        *(make() for make in own_callbacks(plan.cfg.callbacks)),
        Ending(plan.cfg.trainer.max_steps),
    ]


def build_callbacks(plan: Plan, directory: Path, config: dict[str, Any], code: Code) -> list[Callback]:
    """Build all of a run's callbacks, those of its tricks included; checkpoints go to ``directory``."""
    return [
        Timer(),
        History(),
        Stretches(plan.batch, hardware(), code.commit, code.diff_name),
        *build_training_callbacks(plan, config),
        StoppableTraining(directory / LAST, plan.cfg.trainer.checkpoint_minutes),
        RunCheckpoint(directory, "best", monitor="val/top1", mode="max", enable_version_counter=False),
        # Not save_last=True of the first: that follows the best epoch, so a stopped run would lose all since then.
        RunCheckpoint(directory, "last", enable_version_counter=False, save_on_train_epoch_end=True),
    ]
