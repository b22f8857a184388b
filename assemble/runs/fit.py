"""Builds what a plan says, trains it, scores it, and writes the result."""

from __future__ import annotations

import logging
import re
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch.distributed as dist
from pytorch_lightning import Trainer
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.callbacks import Timer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assemble.errors import UserError
from assemble.interrupts import INTERRUPTS, Stopped
from assemble.models.cost import cost_of
from assemble.planning.explain import summary
from assemble.planning.plan import Plan
from assemble.plugins import called, origin
from assemble.runs.build import build_callbacks, build_module, build_trainer
from assemble.runs.code import Code, read_code
from assemble.runs.directory import write_result
from assemble.runs.environment import describe_environment
from assemble.runs.going_on import check_same_run, near_matches
from assemble.runs.identity import RULE, command
from assemble.runs.loggers import build_loggers, close_loggers, log_config, log_result
from assemble.runs.nodes import agree_on_checkpoint
from assemble.schema import DataConfig, Weights
from assemble.wording import amount
from lit_modules.callbacks import History, Stretches
from lit_modules.checkpoints import LAST, read_checkpoint
from lit_modules.classifier import Classifier
from lit_modules.trackers import GoesOn
from lit_modules.trainer_arguments import with_profile

if TYPE_CHECKING:
    from assemble.runs.directory import Run

GONE = "Connection (closed|reset) by peer|ncclRemoteError|remote process exited"
"""What gloo and NCCL say where they wait for a process that is no more."""


def fit(plan: Plan, run: Run) -> dict[str, Any]:
    """Train, score, write result.json and return its content; goes on from ``last.ckpt`` where the run has one."""
    quiet()
    assert plan.data is not None
    cfg, console = plan.cfg, Console()
    run.name_classes(plan.data.classes)
    module = build_module(plan)
    loggers = build_loggers(cfg.logger, run, plan.recipe.names, run.recipe)
    code = read_code()  # now: it may be edited while the run trains
    callbacks = build_callbacks(plan, run.directory, run.config, code)
    timer = next(callback for callback in callbacks if isinstance(callback, Timer))
    history = next(callback for callback in callbacks if isinstance(callback, History))
    stretches = next(callback for callback in callbacks if isinstance(callback, Stretches))
    exit_code = 1
    try:
        trainer = build_trainer(
            cfg.trainer,
            limit_train_batches=plan.micro_batches_per_epoch,
            **with_profile(cfg.trainer.args, run.directory),
            logger=loggers,
            callbacks=callbacks,
            enable_progress_bar=cfg.trainer.progress_bar,
            default_root_dir=run.directory / "lightning",  # it looks for checkpoints of its own there, none of ours
        )
        if trainer.world_size != plan.batch.devices:
            raise UserError(
                f"Lightning would train on {trainer.world_size} devices, and the batch is planned for "
                f"{plan.batch.devices}: leave trainer.strategy out, or check how the processes are started"
            )
        on_gpu = isinstance(trainer.accelerator, CUDAAccelerator)
        if cfg.trainer.sync_batchnorm and plan.batch.devices > 1 and not on_gpu:
            raise UserError("trainer.sync_batchnorm=true needs GPUs: leave it out, or set trainer.accelerator=gpu")
        if trainer.is_global_zero:
            code.keep(run.directory)
            console.print(summary(plan))
            going_on = " (going on)" if run.checkpoint else ""
            console.print(f"[bold]run[/bold]            {escape(str(run.directory))}{going_on}", soft_wrap=True)
            for line in [] if run.checkpoint else near_matches(run.config, run.directory):
                console.print(f"[bold]beside it[/bold]      {escape(line)}", highlight=False, soft_wrap=True)
        chosen = run.directory / "best.ckpt" if cfg.eval.weights is Weights.best else None
        if run.checkpoint and chosen:
            read_checkpoint(chosen, module)  # not found out after days of training
        _train(trainer, module, plan, run)
        epochs = trainer.global_step / (plan.steps_per_epoch or 1)
        if chosen:
            read_checkpoint(chosen, module)
        with _leaving():
            test = partial(trainer.test, module, datamodule=plan.data, verbose=False, weights_only=True)
            scores = test(ckpt_path=chosen)[0]
        result = _result(plan, run, scores, timer.time_elapsed("train"), history, stretches, code, epochs)
        if trainer.is_global_zero:
            write_result(run, result)
            log_result(loggers, run, result)
            show_result(console, result, run)
        exit_code = 0
        return result
    except FileNotFoundError as error:
        if run.directory.is_dir():
            raise
        raise UserError(
            f"{run.directory} was removed or moved while the run was in it: put it back, and the same command goes on "
            "from its last checkpoint; without it, it begins anew"
        ) from error
    finally:
        close_loggers(loggers, exit_code)


def _train(trainer: Trainer, module: Classifier, plan: Plan, run: Run) -> None:
    """Run `Trainer.fit`, from the run's checkpoint where it has one."""
    checkpoint = agree_on_checkpoint(trainer, run.checkpoint, run.directory / LAST)
    step = 0
    if checkpoint:
        content = read_checkpoint(checkpoint, module)
        check_same_run(content, plan, checkpoint)
        step = content["global_step"]
    for logger in trainer.loggers:
        if isinstance(logger, GoesOn):
            logger.go_on_from(step)
    log_config(trainer.loggers, run)
    with _leaving():
        trainer.fit(module, datamodule=plan.data, ckpt_path=checkpoint, weights_only=True)


@contextmanager
def _leaving() -> Iterator[None]:
    """Wrap what Lightning does, whose own answer to an interrupt is to leave with exit code 1."""
    try:
        yield
    except SystemExit:
        raise Stopped(INTERRUPTS.received or signal.SIGINT) from None
    except RuntimeError as error:
        if dist.is_initialized() and re.search(GONE, str(error)):
            raise UserError(
                "another process of this job has ended before its time (killed, or out of memory?). The same command "
                "goes on from the last checkpoint"
            ) from error
        raise


def _result(
    plan: Plan,
    run: Run,
    scores: Any,
    seconds: float,
    history: History,
    stretches: Stretches,
    code: Code,
    epochs: float,
) -> dict[str, Any]:
    assert plan.data is not None
    best = plan.cfg.eval.weights is Weights.best
    cost = cost_of(plan.recipe.spec, plan.cfg.data.scored_size)
    return {
        "run_id": run.run_id,
        "recipe": run.recipe,
        "tricks": plan.recipe.names,
        "model": plan.recipe.spec.name,
        "data": called(run.config["data"]),
        "data_digest": plan.data.identity.digest,
        "classes": plan.data.classes,
        "scored_split": plan.data.source.scored_split,
        "bad_images": {folder.name: len(folder.bad) for folder in plan.data.source.folders},
        "plugins": origin(run.config),
        "seed": plan.cfg.seed,
        "fold": _fold(plan.cfg.data),
        "tag": plan.cfg.tag,
        "metrics": {name: float(scores[f"test/{name}"]) for name in ("top1", "top5", "loss", "ece")},
        "validation": history.best if best else history.scores[-1],
        "weights": plan.cfg.eval.weights.value,
        "params": cost.params,
        "macs": cost.macs,
        "epochs": int(epochs) if epochs.is_integer() else round(epochs, 3),
        "train_seconds": round(seconds, 2),
        "step_seconds": history.step_seconds,
        "config_hash": run.config_hash,
        "hash_rule": RULE,
        "stretches": stretches.all,
        "command": command(),
        **describe_environment(code),
        "dirty": bool(code.diff),
        "git_diff": code.diff_name,
    }


def _fold(data: DataConfig) -> dict[str, int] | None:
    if data.fold is None or data.folds is None:
        return None
    return {"fold": data.fold, "folds": data.folds, "fold_seed": data.fold_seed}


def show_result(console: Console, result: dict[str, Any], run: Run) -> None:
    """Print the numbers of a finished run: in one row, or below each other where that is too wide."""
    metrics = result["metrics"]
    cells = {
        "top-1 %": f"{metrics['top1']:.2f}",
        "top-5 %": f"{metrics['top5']:.2f}",
        "loss": f"{metrics['loss']:.4f}",
        "ECE %": f"{metrics['ece']:.2f}",
        "params": f"{result['params']:,}",
        "mult-adds": amount(result["macs"]),
        "epochs": str(result["epochs"]),
        "seconds": f"{result['train_seconds']:.0f}",
    }
    table = Table()
    for column in cells:
        table.add_column(column, justify="right")
    table.add_row(*cells.values())
    if 1 + sum(3 + max(map(len, pair)) for pair in cells.items()) > console.width:
        table = Table(show_header=False)
        for column, cell in cells.items():
            table.add_row(column, cell)
    on = ", scored on the validation images, since there is no test set" if result["scored_split"] == "val" else ""
    console.print(f"[bold]{escape(result['run_id'])}[/bold]", soft_wrap=True)
    console.print(table)
    fold = "" if result["fold"] is None else ", fold {fold} of {folds}".format(**result["fold"])
    told = f"one run, seed {result['seed']}{fold}{on}; {escape(str(run.directory / 'result.json'))}"
    console.print(told, soft_wrap=True, highlight=False)


def quiet() -> None:
    """Silence what Lightning says about machines: our own summary says it, or it is advice that does not fit here."""
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*in eval mode at the start of training.*",  # frozen batch norms
        ".*AMP with fp16 is not supported on CPU.*",  # an error of ours
        ".*treespec, LeafSpec.*",  # Lightning 2.6 with torch 2.14
        ".*`srun` command is available.*",  # in a job of SLURM's it is asked for by an error of ours
    ):
        warnings.filterwarnings("ignore", message)
