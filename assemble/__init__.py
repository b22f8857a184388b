"""Composable, exact training techniques for image classifiers.

`compose`, `build` and `train` do from Python what train.py does, and `create_model` makes a network alone
(docs/python.md). All import late: this file is read at every start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line lists the catalogue without importing torch
    from omegaconf import DictConfig
    from pytorch_lightning import LightningDataModule, LightningModule, Trainer
    from torch import nn


def compose(overrides: Sequence[str] = ()) -> DictConfig:
    """Make the configuration that ``python train.py`` would make of these arguments.

    >>> config = compose(["recipe=assemble_e06", "data.root=/data/imagenet", "+tricks=[cutmix]"])  # doctest: +SKIP
    >>> config.tricks.mixup.alpha, config.optim.lr  # doctest: +SKIP

    Returns:
        OmegaConf's `DictConfig`, typed by `assemble.schema.Config` and by the tricks: it may be changed
        (``config.tricks.mixup.alpha = 0.4``), and a misspelt key or a value of another type is refused at once.

    Raises:
        UserError: anything that train.py would refuse there, with the same line.
    """
    from assemble.programs import python

    return python.compose(overrides)


def build(config: DictConfig, **trainer: Any) -> tuple[LightningModule, LightningDataModule, Trainer]:
    """Build what train.py trains with, everything computed that follows from the configuration.

    ``trainer.fit(module, data)`` then takes the very steps that train.py takes. It logs and writes nothing, unless
    that is asked for: runs/ belongs to `train`.

    Args:
        config: of `compose`.
        trainer: what Lightning's Trainer is to have beside or other than that: ``logger``, ``default_root_dir``, ...;
            ``callbacks`` are added to those of the tricks.

    Returns:
        `lit_modules.classifier.Classifier`, `lit_modules.datamodule.ClassifierData`, and the Trainer.

    Raises:
        UserError: anything that cannot work, before any time is spent.
    """
    from assemble.programs import python

    return python.build(config, **trainer)


def train(config: DictConfig) -> dict[str, Any]:
    """Train and score as train.py does, in ``runs/<run_id>``: a stopped run goes on, a finished one is only read.

    Returns:
        the content of result.json.

    Raises:
        UserError: anything that train.py would refuse.
    """
    from assemble.programs import python

    return python.train(config)


def create_model(
    name: str,
    tricks: Iterable[str] | Mapping[str, Mapping[str, Any]] = (),
    num_classes: int = 1000,
    **fields: Any,
) -> nn.Module:
    """Build a network with tricks: images (B, 3, H, W) -> logits (B, num_classes).

    >>> create_model("resnet50", tricks={"resnet_d": {}, "sk": {"reduction": 4}}, num_classes=10)  # doctest: +SKIP

    Args:
        name: a model of `assemble.models.catalogue`, or ``timm:NAME`` for any of timm's.
        tricks: names, or a mapping of name to parameters, in any order. Those that change a network: what acts on
            images, batches, losses, optimizers or the run is refused.
        num_classes: outputs.
        fields: what the model's family lets one choose: ``width`` (channels of the first stage), ``blocks`` (stages of
            an EfficientNet, see `assemble.models.efficientnet`), ``stem`` ("imagenet" or "small"), ``image_size``
            (side of the images, for networks that work at one size only; elsewhere small ones get the small stem), and
            the numerical conventions: ``bn_momentum``, ``bn_eps``, ``padding="tensorflow"``, ``init="torchvision"``.

    Raises:
        UserError: unknown model, trick or parameter; a value that cannot be; tricks that do not go together or find
            nothing to change.
    """
    from assemble.errors import UserError
    from assemble.models.families import spec_of
    from assemble.planning.resolve import resolve
    from tricks import create
    from tricks.base import ModelTrick

    recipe = resolve(create(tricks), spec_of(name, num_classes=num_classes, **fields))
    for trick in recipe.tricks:
        if not isinstance(trick, ModelTrick):
            raise UserError(
                f"trick {trick.name} changes the training, and nothing in a network: leave it out of create_model, and "
                f"take it where you train, as assemble.compose(['+tricks=[{trick.name}]'])"
            )
    return recipe.spec.build()
