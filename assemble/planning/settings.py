"""Settings that contradict each other, or name what is not there: refused before anything is opened."""

from __future__ import annotations

import re
from itertools import pairwise

from assemble.bounds import check_bounds
from assemble.errors import require
from assemble.paths import check_folder_of_plots
from assemble.planning.network import initial_weights
from assemble.robustness.choice import check_robustness
from assemble.schema import Config, ModelConfig, OptimConfig, TrainerConfig

SHARDED = ("fsdp", "deepspeed", "model_parallel")
"""Strategies of Lightning's under which no device has the whole network."""


def check_settings(cfg: Config, *, need_weights: bool) -> None:
    """Check the whole configuration by itself.

    Args:
        cfg: the configuration.
        need_weights: whether the weights that training starts from must be there; an explanation does without.

    Raises:
        UserError: a number out of its range, or settings that do not go together.
    """
    from lit_modules.monitors import check_monitors
    from lit_modules.optim import check_optimizer
    from lit_modules.trainer_arguments import check_arguments, own_callbacks

    check_bounds(cfg)
    require(
        (cfg.output_dir != "", "output_dir is empty: give a folder, . for this one"),
        (
            cfg.tag is None or re.fullmatch(r"(?!\.)[A-Za-z0-9_.]{1,32}", cfg.tag) is not None,
            f"tag={cfg.tag} stands in names of directories: give up to 32 letters, digits, _ and ., but no . first",
        ),
    )
    check_folder_of_plots("plot", cfg.plot)
    _check_optim(cfg.optim)
    check_optimizer(cfg.optim)
    _check_trainer(cfg.trainer)
    check_arguments(cfg.trainer.args)
    own_callbacks(cfg.callbacks)
    check_monitors(cfg.trainer.monitors)
    _check_model(cfg.model)
    _check_weights(cfg.model, needed=need_weights)
    check_robustness(cfg.eval)


def _check_optim(cfg: OptimConfig) -> None:
    milestones = list(cfg.milestones)
    require(
        (cfg.momentum > 0 or not cfg.nesterov, "optim.nesterov=true needs optim.momentum above 0"),
        (cfg.warmup_lr <= cfg.lr, f"optim.warmup_lr must be between 0 and optim.lr={cfg.lr:g}"),
        (cfg.min_lr <= cfg.lr, f"optim.min_lr must be between 0 and optim.lr={cfg.lr:g}"),
        (
            all(a < b for a, b in pairwise([0.0, *milestones])),
            f"optim.milestones={milestones} must be rising numbers of epochs above 0",
        ),
    )


def _check_trainer(cfg: TrainerConfig) -> None:
    require(
        (
            cfg.loss_scale is None or cfg.precision == "16-mixed",
            f"trainer.loss_scale is for trainer.precision=16-mixed, not for {cfg.precision}: set it to null",
        ),
        (
            not cfg.strategy.startswith(SHARDED),
            f"trainer.strategy={cfg.strategy} shards the network, and checkpoints, averaged weights, scores need the "
            "whole of it on each device: take ddp, which every network of the catalogue fits",
        ),
        (
            isinstance(cfg.limit_train_batches, int) or cfg.limit_train_batches <= 1,
            f"trainer.limit_train_batches={cfg.limit_train_batches} must be a share up to 1.0, or a whole number of "
            "steps",
        ),
    )


def _check_model(cfg: ModelConfig) -> None:
    require(
        (cfg.checkpoint != "", "model.checkpoint is empty: give a file, or null for random weights"),
        (
            cfg.freeze is None or cfg.restore_statistics,
            f"model.freeze={cfg.freeze} keeps batch norm's statistics, which model.restore_statistics=false does not "
            "load: change one of them",
        ),
    )


def _check_weights(cfg: ModelConfig, *, needed: bool) -> None:
    """Refuse settings about weights that nobody named, and weights that there are not."""
    source = initial_weights(cfg)
    if source is not None:
        from assemble.models.weights import check_source

        check_source(source)
    require(
        (
            source is not None or not needed or (not cfg.new_head and cfg.restore_statistics and cfg.freeze is None),
            "model.new_head, model.restore_statistics and model.freeze are about weights that training starts "
            "from: name them with model.checkpoint=FILE (.ckpt, .pt, .pth or .safetensors), or model.pretrained=true",
        )
    )
