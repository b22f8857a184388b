"""The data of a run: settings with the tricks in them that change them, and the images opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from assemble.errors import UserError
from assemble.planning.batch import Batch
from assemble.plugins import called
from assemble.schema import Config, DataConfig, ModelConfig

if TYPE_CHECKING:
    from lit_modules.datamodule import ClassifierData
    from tricks.base import Trick


def data_settings(data: DataConfig, tricks: Iterable[Trick]) -> DataConfig:
    """Return the ``data`` part of the configuration with those tricks in it that change it."""
    from tricks.base import DataTrick

    for trick in tricks:
        data = trick.data_settings(data) if isinstance(trick, DataTrick) else data
    return data


def open_data(cfg: Config, batch: Batch, tricks: Sequence[Trick], *, needed: bool) -> ClassifierData | None:
    """Open the images of a run; None where they are not at hand, not ``needed``, and no folder was named.

    Raises:
        UserError: they are missing, or cannot be trained or scored on.
    """
    from assemble.data.sources import Scored
    from assemble.robustness.choice import open_set
    from lit_modules.datamodule import ClassifierData
    from tricks.base import DataTrick

    try:
        data = ClassifierData(
            cfg.data,
            micro_batch=batch.micro,
            accumulate=batch.accumulate,
            images_per_target=batch.images_per_target,
            tricks=[trick for trick in tricks if isinstance(trick, DataTrick)],
            epochs=cfg.trainer.max_epochs,
            seed=cfg.seed,
            eval_batch=cfg.eval.batch_size,
            same_epochs=cfg.trainer.overfit_batches is not None,
            classes=_known_classes(cfg.model),
        )
    except UserError:
        if needed or cfg.data.root is not None:
            raise
        return None
    if data.num_classes < 2:
        name = cfg.data.root or called(vars(cfg.data))
        raise UserError(f"{name} has one class, {data.classes[0]}: at least two are needed")
    if cfg.eval.corruptions:  # what cannot be scored at the end is told at the beginning
        open_set(cfg.eval, cfg.data, Scored(data.classes, data.source.test, data.source.eval_crop))
    return data


def _known_classes(cfg: ModelConfig) -> list[str] | None:
    """Return the classes of the network that training starts from, where its classifier stays.

    None where none are known.
    """
    if cfg.checkpoint is None or cfg.new_head:
        return None
    from assemble.models.weights import classes_of

    return classes_of(cfg.checkpoint)


def outputs(cfg: Config, data: ClassifierData | None) -> int:
    """Return how many outputs the network has: as many as are asked for, else one for each class.

    Raises:
        UserError: fewer are asked for than there are classes.
    """
    offset, asked = cfg.data.label_offset, cfg.model.num_classes
    if data is None:
        return 1000 if asked is None else asked
    if asked is not None and asked < data.num_classes + offset:
        raise UserError(
            f"model.num_classes={asked} is too few: the data has {data.num_classes} classes"
            + (f" and data.label_offset={offset}" if offset else "")
        )
    return data.num_classes + offset if asked is None else asked
