"""Scores that a finished run is asked for later, robustness and throughput: nothing is trained, no run begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from assemble.data.sources import open_scored
from assemble.devices import device_beside
from assemble.errors import UserError
from assemble.models.throughput import measure_speed
from assemble.planning.batch import batch_of
from assemble.planning.data import data_settings
from assemble.robustness.choice import open_set
from assemble.runs.directory import write_result
from assemble.runs.loggers import log_later_result
from assemble.runs.result import asked_robustness, lacks_robustness, lacks_throughput
from assemble.schema import Config, ScoredSplit
from assemble.scoring.predictor import AUTOCAST, Loading, Predictor
from assemble.scoring.robustness import robustness, table, with_robustness
from assemble.scoring.trained import Trained, open_trained

if TYPE_CHECKING:
    from assemble.runs.directory import Run


def score_run(cfg: Config, run: Run) -> None:
    """Add to the result of a finished run what ``eval`` asks for and it lacks.

    On one device, of the weights that its other scores are of.
    """
    from tricks import create

    cfg = replace(cfg, data=data_settings(cfg.data, create(run.config["tricks"])))
    result, console = run.result, Console()
    assert result is not None
    run.take()
    checkpoint = run.directory / f"{cfg.eval.weights.value}.ckpt"
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint} is missing, and its weights are to be scored: put it back")
    trained = open_trained(str(checkpoint), cfg.data.scored_size)
    device = device_beside(cfg.trainer.accelerator)
    if lacks_throughput(result, run.config):
        speed = measure_speed(trained.network.to(device), image_size=trained.size)
        result["throughput"] = round(speed.throughput, 2)
        console.print(f"{result['throughput']:,} images/s in inference (batch {speed.batch_size}, float32)")
    if lacks_robustness(result, run.config):
        block = _robustness(cfg, run, trained, device, 100 - result["metrics"]["top1"])
        result = with_robustness(result, block)
        console.print(table(block))
    write_result(run, result)
    log_later_result(cfg.logger, run, result)


def _robustness(cfg: Config, run: Run, trained: Trained, device: torch.device, clean: float) -> Mapping[str, Any]:
    """Measure robustness in the run's precision."""
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
