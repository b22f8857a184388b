"""What a configuration will build and do, before anything is built: the batches, the steps, the network's spec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from conf.schema import Config, DataConfig, Library, ModelConfig, OptimConfig, RobustnessConfig, Stem
from core.errors import UserError, require
from core.resolve import Recipe, resolve

if TYPE_CHECKING:
    from lit_modules.datamodule import ClassifierData
    from lit_modules.schedule import Schedule
    from models.spec import Spec
    from tricks.base import DataTrick, Trick


@dataclass(frozen=True)
class Batch:
    """How the global batch of one optimizer step is split."""

    total: int
    devices: int
    accumulate: int

    @property
    def micro(self) -> int:
        """Pictures of one forward pass on one device."""
        return self.total // (self.devices * self.accumulate)

    def __str__(self) -> str:
        parts = [f"{self.devices} device" + "s" * (self.devices > 1), f"{self.micro} pictures"]
        if self.accumulate > 1:
            parts.insert(1, f"{self.accumulate} accumulation steps")
        return f"{self.total} = " + " x ".join(parts)


def batch_of(cfg: Config) -> Batch:
    """The split of ``data.batch_size``.

    Raises:
        UserError: it does not divide evenly.
    """
    devices = cfg.trainer.devices * cfg.trainer.num_nodes
    accumulate = cfg.trainer.accumulate_grad_batches
    if min(devices, accumulate, cfg.data.batch_size) < 1:
        raise UserError(
            "trainer.devices, trainer.num_nodes, trainer.accumulate_grad_batches and data.batch_size must be at least 1"
        )
    if cfg.data.batch_size % (devices * accumulate):
        raise UserError(
            f"data.batch_size={cfg.data.batch_size} is the global batch of one optimizer step and does not divide by "
            f"{devices} devices x {accumulate} accumulation steps: take a multiple of {devices * accumulate}"
        )
    return Batch(cfg.data.batch_size, devices, accumulate)


def base_spec(cfg: Config, num_classes: int) -> Spec:
    """The network before any trick."""
    from models.catalogue import TIMM
    from models.spec import spec_of

    model = cfg.model
    return spec_of(
        model.name if model.library is Library.catalogue else f"{TIMM}{model.name}",
        num_classes=num_classes,
        image_size=cfg.data.image_size,
        width=model.width,
        blocks=model.blocks and tuple(model.blocks),
        stem=None if model.stem is Stem.auto else model.stem.value,
        padding=model.padding and model.padding.value,
        init=model.init and model.init.value,
        bn_momentum=model.bn_momentum,
        bn_eps=model.bn_eps,
    )


def pictures(data: DataConfig, tricks: Iterable[Trick]) -> DataConfig:
    """The ``data`` part of the configuration with those tricks in it that change it."""
    from tricks.base import DataTrick

    for trick in tricks:
        data = trick.pictures(data) if isinstance(trick, DataTrick) else data
    return data


@dataclass(frozen=True)
class Plan:
    """Everything decided; `core.fit` builds it, `core.explain` prints it."""

    cfg: Config
    """With the tricks that change the pictures in its ``data``; `base_spec` goes by what was asked for."""
    recipe: Recipe
    batch: Batch
    images_per_target: int
    data: ClassifierData | None
    """None only where nothing is trained and the pictures are not at hand (``explain=true``)."""
    num_classes: int

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps of one epoch."""
        if self.data is None:
            return None
        return max(1, int(self.data.steps_per_epoch(self.batch.devices) * self.cfg.trainer.limit_train_batches))

    @property
    def optim(self) -> OptimConfig:
        """The optimizer's settings with those tricks in them that change them."""
        from tricks.base import OptimTrick

        optim = self.cfg.optim
        for trick in self.recipe.of(OptimTrick):
            optim = trick.settings(optim)
        return optim

    @property
    def micro_batches_per_epoch(self) -> int | None:
        """Forward passes of one epoch on one device: what Lightning counts."""
        return self.steps_per_epoch and self.steps_per_epoch * self.batch.accumulate

    @property
    def schedule(self) -> Schedule:
        """Learning rate by step.

        The official code counts pictures over batch to an epoch, a fraction, though what remains of an epoch is not
        trained on: on ImageNet 83 of 750,683 steps, which are never taken. Where an epoch has few steps that would end
        the decay far from its end, so there, more than 1 % off, it is the loader's whole steps.
        """
        from lit_modules.schedule import Schedule

        assert self.data is not None
        steps = self.steps_per_epoch or 1
        fraction = self.data.train_size / self.batch.total
        batches = fraction if fraction <= 1.01 * steps else float(steps)
        return Schedule.of(self.optim, batches, self.cfg.trainer.max_epochs)


def make_plan(cfg: Config, tricks: Sequence[Trick], *, need_data: bool = True) -> Plan:
    """Resolve a configuration with its selected tricks.

    Pictures that are not at hand are passed over where ``need_data`` is false and no folder is given.

    Raises:
        UserError: anything that cannot work, found before any time is spent.
    """
    from lit_modules.datamodule import check as check_data
    from lit_modules.datasets import Scored
    from lit_modules.optim import check_optimizer
    from tricks.base import BatchTrick, DataTrick

    batch = batch_of(cfg)
    _check_ranges(cfg)
    _check_start(cfg.model, need_file=need_data)
    check_data(cfg.data)
    asked, cfg = cfg, replace(cfg, data=pictures(cfg.data, tricks))
    check_optimizer(cfg.optim)
    mixers = [trick for trick in tricks if isinstance(trick, BatchTrick)]
    for mixer in mixers:
        mixer.check_batch(batch.micro)
    images_per_target = mixers[0].images_per_target if mixers else 1
    try:
        data = _open_data(cfg, batch, images_per_target, [t for t in tricks if isinstance(t, DataTrick)])
    except UserError:
        if need_data or cfg.data.root is not None:
            raise
        data = None
    if data and data.num_classes < 2:
        raise UserError(f"{cfg.data.root or cfg.data.name} has one class, {data.classes[0]}: at least two are needed")
    known = data.num_classes + cfg.data.label_offset if data else 1000
    num_classes = known if cfg.model.num_classes is None else cfg.model.num_classes
    if data and num_classes < known:
        raise UserError(
            f"model.num_classes={num_classes} is too few: the data has {data.num_classes} classes"
            + (f" and data.label_offset={cfg.data.label_offset}" if cfg.data.label_offset else "")
        )
    recipe = resolve(tricks, base_spec(asked, num_classes))
    if cfg.model.freeze is not None:
        _check_freeze(recipe.spec, cfg.model.freeze)
    for size in _picture_sizes(cfg, tricks):
        recipe.spec.check_size(size)
    plan = Plan(cfg, recipe, batch, images_per_target, data, num_classes)
    for trick in recipe.tricks:
        trick.check_run(plan)
    if data:
        _ = plan.schedule  # refuses a warm-up longer than the run
    check_robustness(cfg.eval)
    if data and cfg.eval.corruptions:
        from core.robust import open_set

        open_set(cfg.eval, cfg.data, Scored(data.classes, data.source.test, data.source.eval_crop))
    return plan


def check_robustness(cfg: RobustnessConfig) -> None:
    """Raise `UserError` for settings of corruptions that nobody asked for."""
    for key in ("corruptions_root", "corruptions_extra", "corruptions_preset", "corruptions_jpeg", "frost_textures"):
        if getattr(cfg, key) and not cfg.corruptions:
            raise UserError(f"eval.{key} changes nothing without eval.corruptions: set it, or leave {key} out")


def _picture_sizes(cfg: Config, tricks: Sequence[Trick]) -> list[int]:
    """Sides of the pictures at the beginning and the end of training, and of those that are scored."""
    from tricks.base import DataTrick

    sizes = {cfg.data.scored_size}
    for progress in (0.0, 1.0):
        size = cfg.data.image_size
        for trick in tricks:
            size = trick.at(progress).size(size) if isinstance(trick, DataTrick) else size
        sizes.add(size)
    return sorted(sizes)


def _check_ranges(cfg: Config) -> None:
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


def _check_start(cfg: ModelConfig, need_file: bool) -> None:
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


def _check_freeze(spec: Spec, stages: int) -> None:
    """Raise `UserError` where the network has fewer stages."""
    import torch

    from lit_modules.freezing import freeze

    with torch.device("meta"):
        freeze(spec.build(), stages)


def _open_data(cfg: Config, batch: Batch, images_per_target: int, tricks: Sequence[DataTrick]) -> ClassifierData:
    from lit_modules.datamodule import ClassifierData

    return ClassifierData(
        cfg.data,
        micro_batch=batch.micro,
        accumulate=batch.accumulate,
        images_per_target=images_per_target,
        tricks=tricks,
        epochs=cfg.trainer.max_epochs,
        seed=cfg.seed,
        eval_batch=cfg.eval.batch_size,
    )
