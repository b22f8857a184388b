"""Scores that a finished run is asked for later, robustness and throughput: nothing is trained, no run begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from conf.schema import Config, ScoredSplit
from core.errors import UserError
from core.loggers import log_later_result
from core.plan import batch_of, pictures
from core.robust import open_set, robustness, table, with_robustness
from core.runs import asked_robustness, lacks_robustness, lacks_throughput, write_result
from lit_modules.datasets import open_scored
from models.throughput import measure
from models.trained import Trained, open_trained
from scoring.predictor import ACCELERATORS, AUTOCAST, Loading, Predictor, device_of

if TYPE_CHECKING:
    from core.runs import Run


def score_run(cfg: Config, run: Run) -> None:
    """Add to the result of a finished run what ``eval`` asks for and it lacks.

    On one device, of the weights that its other scores are of.
    """
    from tricks import create

    cfg = replace(cfg, data=pictures(cfg.data, create(run.config["tricks"])))
    result, console = run.result, Console()
    assert result is not None
    run.take()
    checkpoint = run.directory / f"{cfg.eval.weights.value}.ckpt"
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint} is missing, and its weights are to be scored: put it back")
    trained = open_trained(str(checkpoint), cfg.data.scored_size)
    accelerator = cfg.trainer.accelerator
    device = device_of(accelerator if accelerator in ACCELERATORS else "auto")
    if lacks_throughput(result, run.config):
        speed = measure(trained.network.to(device), image_size=trained.size)
        result["throughput"] = round(speed.throughput, 2)
        console.print(f"{result['throughput']:,} pictures/s in inference (batch {speed.batch_size}, float32)")
    if lacks_robustness(result, run.config):
        block = _robustness(cfg, run, trained, device, 100 - result["metrics"]["top1"])
        result = with_robustness(result, block)
        console.print(table(block))
    write_result(run, result)
    log_later_result(run, result)


def _robustness(cfg: Config, run: Run, trained: Trained, device: torch.device, clean: float) -> Mapping[str, Any]:
    """In the run's precision."""
    settings, precision = asked_robustness(run.config), cfg.trainer.precision
    assert settings is not None
    scored = open_scored(cfg.data, ScoredSplit.test)
    return robustness(
        open_set(cfg.eval, cfg.data, scored),
        cfg.data,
        scored,
        Predictor(trained, device, precision=precision if precision in AUTOCAST else "32-true"),
        Loading(cfg.eval.batch_size or batch_of(cfg).micro, cfg.data.num_workers, device),
        folder=run.directory,
        settings=settings,
        clean=clean,
        shown=cfg.trainer.progress_bar,
    )
