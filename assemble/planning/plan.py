"""What a configuration will build and do, before anything is built: the batches, the steps, the network's spec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from assemble.planning.batch import Batch, batch_of
from assemble.planning.data import data_settings, open_data, outputs
from assemble.planning.network import initial_weights, resolve_network
from assemble.planning.resolve import Recipe
from assemble.planning.settings import check_settings
from assemble.schema import Config, OptimConfig, TrainerConfig

if TYPE_CHECKING:
    from assemble.models.spec import Spec
    from lit_modules.datamodule import ClassifierData
    from lit_modules.schedule import Schedule
    from tricks.base import Trick


@dataclass(frozen=True)
class Plan:
    """Everything decided; `assemble.runs.fit` builds it, `assemble.planning.explain` prints it."""

    cfg: Config
    """With the tricks that change the images in its ``data``; `base_spec` goes by what was asked for.

    Where ``trainer.max_steps`` is given, ``trainer.max_epochs`` is the number of epochs that they begin.
    """
    recipe: Recipe
    batch: Batch
    data: ClassifierData | None
    """None only where nothing is trained and the images are not at hand (``explain=true``)."""
    num_classes: int

    @property
    def spec(self) -> Spec:
        """The network with all tricks in it."""
        return self.recipe.spec

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps of one epoch."""
        return None if self.data is None else steps_per_epoch(self.cfg.trainer, self.data, self.batch)

    @property
    def class_counts(self) -> np.ndarray:
        """Training images of each output of the network (K,)."""
        assert self.data is not None
        labels = np.asarray(self.data.source.train.labels) + self.cfg.data.label_offset
        return np.bincount(labels, minlength=self.num_classes)

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
        return Schedule.of(self.optim, batches, self.cfg.trainer.max_epochs, self.cfg.trainer.max_steps)


def make_plan(cfg: Config, tricks: Sequence[Trick], *, need_data: bool = True) -> Plan:
    """Decide everything about a configuration with its selected tricks.

    Args:
        cfg: the configuration.
        tricks: the selected tricks, in any order.
        need_data: where it is false and no folder is given, images that are not at hand are passed over.

    Raises:
        UserError: anything that cannot work, found before any time is spent.
    """
    check_settings(cfg, need_weights=need_data)
    changed = replace(cfg, data=data_settings(cfg.data, tricks))
    batch = batch_of(changed, tricks)
    data = open_data(changed, batch, tricks, needed=need_data)
    if data is not None and cfg.trainer.max_steps is not None:
        epochs = math.ceil(cfg.trainer.max_steps / steps_per_epoch(cfg.trainer, data, batch))
        changed = replace(changed, trainer=replace(cfg.trainer, max_epochs=epochs))
        data.train_set.epochs = epochs
    classes = outputs(changed, data)
    plan = Plan(changed, resolve_network(cfg, changed, tricks, classes), batch, data, classes)
    _check_with_tricks(plan)
    if not need_data:
        _check_weights_fit(plan)
    return plan


def _check_weights_fit(plan: Plan) -> None:
    """Refuse a file of weights that does not fit, where nothing will be trained that would find out."""
    from assemble.models.catalogue import TIMM

    model = plan.cfg.model
    source = initial_weights(model)
    if source is not None and not source.startswith(TIMM):  # which would be downloaded
        from assemble.models.weights import load_weights

        network = plan.recipe.spec.build()
        load_weights(network, source, new_head=model.new_head, statistics=model.restore_statistics)


def steps_per_epoch(cfg: TrainerConfig, data: ClassifierData, batch: Batch) -> int:
    """Return the optimizer steps of one epoch."""
    whole = data.steps_per_epoch(batch.devices)
    limit = cfg.limit_train_batches if cfg.overfit_batches is None else cfg.overfit_batches
    return min(limit, whole) if isinstance(limit, int) else max(1, int(whole * limit))


def _check_with_tricks(plan: Plan) -> None:
    """Refuse a run that one of its tricks refuses, or whose schedule is longer than the run."""
    for trick in plan.recipe.tricks:
        trick.check_run(plan)
    if plan.data:
        _ = plan.schedule  # refuses a warm-up longer than the run
