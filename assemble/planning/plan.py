"""What a configuration will build and do, before anything is built: the batches, the steps, the network's spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assemble.errors import UserError
from assemble.planning.batch import Batch, batch_of
from assemble.planning.network import base_spec, data_settings
from assemble.planning.ranges import check_freeze, check_ranges, check_start
from assemble.planning.resolve import Recipe, resolve
from assemble.robustness.choice import check_robustness
from assemble.schema import Config, OptimConfig

if TYPE_CHECKING:
    from lit_modules.datamodule import ClassifierData
    from lit_modules.schedule import Schedule
    from tricks.base import DataTrick, Trick


@dataclass(frozen=True)
class Plan:
    """Everything decided; `assemble.runs.fit` builds it, `assemble.planning.explain` prints it."""

    cfg: Config
    """With the tricks that change the images in its ``data``; `base_spec` goes by what was asked for."""
    recipe: Recipe
    batch: Batch
    images_per_target: int
    data: ClassifierData | None
    """None only where nothing is trained and the images are not at hand (``explain=true``)."""
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

        The official code counts images over batch to an epoch, a fraction, though what remains of an epoch is not
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

    Images that are not at hand are passed over where ``need_data`` is false and no folder is given.

    Raises:
        UserError: anything that cannot work, found before any time is spent.
    """
    from assemble.data.sources import Scored
    from lit_modules.datamodule import check as check_data
    from lit_modules.optim import check_optimizer
    from tricks.base import BatchTrick, DataTrick

    batch = batch_of(cfg)
    check_ranges(cfg)
    check_start(cfg.model, need_file=need_data)
    check_data(cfg.data)
    asked, cfg = cfg, replace(cfg, data=data_settings(cfg.data, tricks))
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
        check_freeze(recipe.spec, cfg.model.freeze)
    for size in _image_sizes(cfg, tricks):
        recipe.spec.check_size(size)
    plan = Plan(cfg, recipe, batch, images_per_target, data, num_classes)
    for trick in recipe.tricks:
        trick.check_run(plan)
    if data:
        _ = plan.schedule  # refuses a warm-up longer than the run
    check_robustness(cfg.eval)
    if data and cfg.eval.corruptions:
        from assemble.robustness.choice import open_set

        open_set(cfg.eval, cfg.data, Scored(data.classes, data.source.test, data.source.eval_crop))
    return plan


def _image_sizes(cfg: Config, tricks: Sequence[Trick]) -> list[int]:
    """Sides of the images at the beginning and the end of training, and of those that are scored."""
    from tricks.base import DataTrick

    sizes = {cfg.data.scored_size}
    for progress in (0.0, 1.0):
        size = cfg.data.image_size
        for trick in tricks:
            size = trick.at(progress).size(size) if isinstance(trick, DataTrick) else size
        for trick in tricks:
            size = trick.at(progress).smallest(size) if isinstance(trick, DataTrick) else size
        sizes.add(size)
    return sorted(sizes)


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
