"""Numbers that have the right type and still make no sense, refused in one line each."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from assemble.errors import UserError, require
from assemble.schema import Config, ModelConfig

if TYPE_CHECKING:
    from assemble.models.spec import Spec


def check_ranges(cfg: Config) -> None:
    """Numbers that have a type but no meaning."""
    clip, share, epochs = cfg.trainer.gradient_clip_val, cfg.trainer.limit_train_batches, cfg.trainer.max_epochs
    optim, eval_batch = cfg.optim, cfg.eval.batch_size
    milestones = list(optim.milestones)
    layers, scale = optim.layer_decay, cfg.trainer.loss_scale
    require(
        (0 < share <= 1, f"trainer.limit_train_batches={share:g} is a share: above 0, at most 1"),
        (epochs >= 1, f"trainer.max_epochs must be at least 1, not {epochs}"),
        (0 <= cfg.seed < 2**63, "seed must be 0 or above, and below 2**63"),
        (0 < optim.lr < math.inf, "optim.lr must be above 0, and finite"),
        (0 <= optim.momentum < 1, "optim.momentum must be at least 0 and below 1"),
        (optim.momentum > 0 or not optim.nesterov, "optim.nesterov=true needs optim.momentum above 0"),
        (0 <= optim.weight_decay < math.inf, "optim.weight_decay must be 0 or above, and finite"),
        (layers is None or 0 < layers <= 1, "optim.layer_decay must be above 0, at most 1, or null"),
        (0 <= optim.warmup_lr <= optim.lr, f"optim.warmup_lr must be between 0 and optim.lr={optim.lr:g}"),
        (0 <= optim.min_lr <= optim.lr, f"optim.min_lr must be between 0 and optim.lr={optim.lr:g}"),
        (optim.gamma is None or 0 < optim.gamma < math.inf, "optim.gamma must be above 0, and finite, or null"),
        (0 < optim.decay_epochs < math.inf, "optim.decay_epochs must be above 0, and finite"),
        (0 < optim.power < math.inf, "optim.power must be above 0, and finite"),
        (
            all(a < b for a, b in pairwise([0.0, *milestones])),
            f"optim.milestones={milestones} must be rising numbers of epochs above 0",
        ),
        (scale is None or 0 < scale < math.inf, "trainer.loss_scale must be above 0, and finite, or null"),
        (
            scale is None or cfg.trainer.precision == "16-mixed",
            f"trainer.loss_scale is for trainer.precision=16-mixed, not for {cfg.trainer.precision}: set it to null",
        ),
        (cfg.model.checkpoint != "", "model.checkpoint is empty: give a file, or null for random weights"),
        (cfg.output_dir != "", "output_dir is empty: give a folder, . for this one"),
        (cfg.trainer.log_every_n_steps >= 1, "trainer.log_every_n_steps must be at least 1"),
        (clip is None or clip > 0, "trainer.gradient_clip_val must be above 0, or null"),
        (1 <= cfg.eval.ece_bins <= 10_000, "eval.ece_bins must be at least 1, at most 10000"),
        (eval_batch is None or eval_batch >= 1, "eval.batch_size must be at least 1, or null"),
    )


def check_start(cfg: ModelConfig, need_file: bool) -> None:
    """What is said about the weights that training starts from. An explanation does without them."""
    require(
        (cfg.freeze is None or cfg.freeze >= 0, f"model.freeze={cfg.freeze} must be 0 (the stem) or above, or null"),
        (
            cfg.freeze is None or cfg.restore_statistics,
            f"model.freeze={cfg.freeze} keeps batch norm's statistics, which model.restore_statistics=false does not "
            "load: change one of them",
        ),
    )
    if not need_file:
        return
    path = cfg.checkpoint
    if path is None and (cfg.new_head or not cfg.restore_statistics or cfg.freeze is not None):
        raise UserError(
            "model.new_head, model.restore_statistics and model.freeze are about weights that training starts from: "
            "name them with model.checkpoint=FILE (.ckpt, .pt, .pth or .safetensors)"
        )
    if path is not None and not Path(path).expanduser().is_file():
        raise UserError(f"model.checkpoint: there is no weights file {path}")


def check_freeze(spec: Spec, stages: int) -> None:
    """Raise `UserError` where the network has fewer stages."""
    import torch

    from lit_modules.freezing import freeze

    with torch.device("meta"):
        freeze(spec.build(), stages)
