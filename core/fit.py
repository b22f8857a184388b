"""Builds what a plan says, trains it, scores it, and writes the result."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.plugins import MixedPrecision
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import nn

from conf.schema import TrainerConfig, Weights
from core.checkpoints import ConfigInCheckpoint, RunCheckpoint, WholeFiles, read_checkpoint
from core.environment import describe_environment
from core.errors import UserError
from core.explain import summary
from core.loggers import CsvLogger, build_loggers, close_loggers, log_result
from core.plan import Plan
from core.progress import Progress
from core.runs import command, write_result
from lit_modules.callbacks import History, MovingStrengths
from lit_modules.classifier import Classifier
from lit_modules.freezing import freeze
from lit_modules.precision import StaticLossScale
from models.cost import cost_of
from models.weights import load_weights
from tricks.base import BatchTrick, CallbackTrick, Companion, DataTrick, LossTrick, ModelTrick, OptimTrick

if TYPE_CHECKING:
    from core.runs import Run

GONE = "Connection (closed|reset) by peer|ncclRemoteError|remote process exited"
"""What gloo and NCCL say where they wait for a process that is no more."""


def build_module(plan: Plan) -> Classifier:
    """The network in its LightningModule, with the weights of ``model.checkpoint`` if there are any."""
    cfg = plan.cfg
    torch.manual_seed(cfg.seed)
    network = plan.recipe.spec.build()
    if cfg.model.checkpoint:
        load_weights(
            network,
            cfg.model.checkpoint,
            new_head=cfg.model.new_head,
            statistics=cfg.model.restore_statistics,
        )
    if cfg.trainer.sync_batchnorm and plan.batch.devices > 1:
        from timm.layers.norm_act import convert_sync_batchnorm  # torch's own drops timm's fused activations

        network = convert_sync_batchnorm(network)
    if cfg.model.freeze is not None:
        freeze(network, cfg.model.freeze)
    if cfg.trainer.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if cfg.trainer.compile:
        network.compile()
    return build_classifier(plan, network, build_companions(plan))


def build_companions(plan: Plan) -> list[Companion | None]:
    """What each loss trick brings along for the pictures. What takes long to make, a trick keeps on disk."""
    return [trick.companion(plan) for trick in plan.recipe.of(LossTrick)]


def build_classifier(plan: Plan, network: nn.Module, companions: Sequence[Companion | None]) -> Classifier:
    """The LightningModule around a network: the training step of the plan."""
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
        loss_tricks=plan.recipe.of(LossTrick),
        companions=companions,
        optim_tricks=plan.recipe.of(OptimTrick),
        seed=cfg.seed,
        log_every=cfg.trainer.log_every_n_steps,
        ece_bins=cfg.eval.ece_bins,
        memory_format=torch.channels_last if cfg.trainer.channels_last else torch.contiguous_format,
    )


def build_trainer(cfg: TrainerConfig, **more: Any) -> Trainer:
    """Lightning's Trainer. ``limit_train_batches`` is the caller's to give: a `Plan` knows it in micro-batches.

    Raises:
        UserError: devices, precision or strategy that this machine has not.
    """
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
            **more,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"trainer.accelerator={cfg.accelerator} trainer.devices={cfg.devices} trainer.strategy={cfg.strategy} "
            f"trainer.precision={cfg.precision} cannot be had here: {reason}"
        ) from error
    half = cfg.precision in {"16", "16-mixed"}
    if half and trainer.strategy.root_device.type == "cpu":  # Lightning would take bf16-mixed instead
        raise UserError(f"trainer.precision={cfg.precision} needs a GPU: on a CPU take bf16-mixed or 32-true")
    return trainer


def loss_scaling(cfg: TrainerConfig) -> list[MixedPrecision]:
    """What takes the place of ``trainer.precision`` where the loss scale is fixed.

    Raises:
        UserError: this machine has no CUDA GPU.
    """
    if cfg.loss_scale is None:
        return []
    if not torch.cuda.is_available():
        raise UserError(f"trainer.loss_scale={cfg.loss_scale:g} needs a CUDA GPU: set it to null")
    return [MixedPrecision("16-mixed", "cuda", StaticLossScale(cfg.loss_scale))]


def build_callbacks(plan: Plan, directory: Path, config: dict[str, Any]) -> list[Callback]:
    """All of a run's callbacks, those of its tricks included; checkpoints go to ``directory``."""
    return [
        Timer(),
        History(),
        ConfigInCheckpoint(config),
        MovingStrengths(plan.recipe.of(ModelTrick)),
        *([Progress()] if plan.cfg.trainer.progress_bar else []),
        *(callback for trick in plan.recipe.of(CallbackTrick) for callback in trick.callbacks()),
        RunCheckpoint(directory, "best", monitor="val/top1", mode="max", enable_version_counter=False),
        # Not save_last=True of the first: that follows the best epoch, so a stopped run would lose all since then.
        RunCheckpoint(directory, "last", enable_version_counter=False),
    ]


def fit(plan: Plan, run: Run) -> dict[str, Any]:
    """Train, score, write result.json; returns its content. Goes on from ``last.ckpt`` where the run has one."""
    _quiet()
    assert plan.data is not None
    cfg, console = plan.cfg, Console()
    module = build_module(plan)
    loggers = build_loggers(run.config, run, plan.recipe.names, run.recipe)
    callbacks = build_callbacks(plan, run.directory, run.config)
    timer = next(callback for callback in callbacks if isinstance(callback, Timer))
    history = next(callback for callback in callbacks if isinstance(callback, History))
    exit_code = 1
    try:
        trainer = build_trainer(
            cfg.trainer,
            limit_train_batches=plan.micro_batches_per_epoch,
            logger=loggers,
            callbacks=callbacks,
            enable_progress_bar=cfg.trainer.progress_bar,
            default_root_dir=run.directory,
        )
        on_gpu = isinstance(trainer.accelerator, CUDAAccelerator)
        if cfg.trainer.sync_batchnorm and plan.batch.devices > 1 and not on_gpu:
            raise UserError("trainer.sync_batchnorm=true needs GPUs: leave it out, or set trainer.accelerator=gpu")
        if trainer.is_global_zero:
            console.print(summary(plan))
            going_on = " (going on)" if run.checkpoint else ""
            console.print(f"[bold]run[/bold]            {escape(str(run.directory))}{going_on}")
        chosen = run.directory / "best.ckpt" if cfg.eval.weights is Weights.best else None
        if run.checkpoint and chosen:
            read_checkpoint(chosen, module)  # not found out after days of training
        _train(trainer, module, plan, run)
        if chosen:
            read_checkpoint(chosen, module)
        scores = trainer.test(module, datamodule=plan.data, ckpt_path=chosen, verbose=False, weights_only=True)[0]
        result = _result(plan, run, scores, timer.time_elapsed("train"), history)
        if trainer.is_global_zero:
            write_result(run, result)
            log_result(loggers, result)
            console.print(result_table(result, run))
        exit_code = 0
        return result
    finally:
        close_loggers(loggers, exit_code)


def _train(trainer: Trainer, module: Classifier, plan: Plan, run: Run) -> None:
    """`Trainer.fit`, whose own answer to Ctrl-C is to leave with exit code 1."""
    checkpoint = run.checkpoint
    step = read_checkpoint(checkpoint, module)["global_step"] if checkpoint else 0
    for logger in trainer.loggers:
        if isinstance(logger, CsvLogger):
            logger.go_on_from(step)
    try:
        trainer.fit(module, datamodule=plan.data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if trainer.world_size > 1 and re.search(GONE, str(error)):
            raise UserError(
                "another process of this job has ended before its time (killed, or out of memory?). The same command "
                "goes on from the last checkpoint"
            ) from error
        raise


def _result(plan: Plan, run: Run, scores: Any, seconds: float, history: History) -> dict[str, Any]:
    best = plan.cfg.eval.weights is Weights.best
    cost = cost_of(plan.recipe.spec, plan.cfg.data.scored_size)
    return {
        "run_id": run.run_id,
        "recipe": run.recipe,
        "tricks": plan.recipe.names,
        "model": plan.recipe.spec.name,
        "data": plan.cfg.data.name,
        "seed": plan.cfg.seed,
        "metrics": {name: float(scores[f"test/{name}"]) for name in ("top1", "top5", "loss", "ece")},
        "validation": history.best if best else history.scores[-1],
        "weights": plan.cfg.eval.weights.value,
        "params": cost.params,
        "macs": cost.macs,
        "epochs": plan.cfg.trainer.max_epochs,
        "train_seconds": round(seconds, 2),
        "step_seconds": history.step_seconds,
        "config_hash": run.config_hash,
        "command": command(),
        **describe_environment(),
    }


def result_table(result: dict[str, Any], run: Run) -> Table:
    """The numbers of a finished run."""
    table = Table(title=result["run_id"], title_justify="left")
    metrics = result["metrics"]
    for column in ("top-1 %", "top-5 %", "loss", "ECE %", "params", "MACs", "epochs", "seconds"):
        table.add_column(column, justify="right")
    table.add_row(
        f"{metrics['top1']:.2f}",
        f"{metrics['top5']:.2f}",
        f"{metrics['loss']:.4f}",
        f"{metrics['ece']:.2f}",
        f"{result['params']:,}",
        f"{result['macs'] / 1e6:,.1f}M",
        str(result["epochs"]),
        f"{result['train_seconds']:.0f}",
    )
    table.caption = f"one run, seed {result['seed']}; {escape(str(run.directory / 'result.json'))}"
    return table


def _quiet() -> None:
    """What Lightning says about machines is said by our own summary, or is advice that does not fit here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*in eval mode at the start of training.*",  # frozen batch norms
        ".*AMP with fp16 is not supported on CPU.*",  # an error of ours
        ".*treespec, LeafSpec.*",  # Lightning 2.6 with torch 2.14
    ):
        warnings.filterwarnings("ignore", message)
