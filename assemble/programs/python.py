"""What train.py does, from Python: `assemble.compose`, `assemble.build` and `assemble.train`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.complaints import explanation
from assemble.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from pytorch_lightning import Trainer

    from lit_modules.classifier import Classifier
    from lit_modules.datamodule import ClassifierData


@contextmanager
def one_kind_of_error() -> Iterator[None]:
    """Turn what the user can mend, whichever library says it, into a `UserError` of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        message = explanation(error)
        if message is None:
            raise
        raise UserError(message) from error


def compose(overrides: Sequence[str]) -> DictConfig:
    """See `assemble.compose`."""
    from omegaconf import OmegaConf, open_dict

    from assemble.command_line.check import check_arguments, parse
    from assemble.config import compose as hydra
    from assemble.config.selection import active_tricks, check_data_keys
    from assemble.runs.identity import RECIPE

    if isinstance(overrides, str):
        raise UserError(f'overrides="{overrides}" is no list: write ["{overrides}"]')
    given = list(overrides)
    for text in given:
        if text.startswith("-"):
            raise UserError(f"{text} is an option of train.py's: give key=value")
    with one_kind_of_error():
        check_arguments(given)
        said = {override.key_or_group: override.value() for override in parse(given) if not override.is_delete()}
        cfg = hydra.compose(given)
        check_data_keys(cfg.data.name, said)
        names = active_tricks(cfg)
    with open_dict(cfg):
        for name in [name for name in cfg.tricks if name not in names]:
            del cfg.tricks[name]
        cfg.drop = []
    OmegaConf.get_cache(cfg)[RECIPE] = said.get("recipe")
    return cfg


def build(config: DictConfig, **trainer: Any) -> tuple[Classifier, ClassifierData, Trainer]:
    """See `assemble.build`."""
    with one_kind_of_error():
        _check(config)
        from pytorch_lightning.callbacks import Checkpoint, ProgressBar

        from assemble.programs.train import make_plan_of
        from assemble.runs.build import build_module, build_trainer, build_training_callbacks
        from assemble.runs.fit import quiet
        from assemble.runs.identity import plain_config

        quiet()
        plan = make_plan_of(config)
        assert plan.data is not None
        module = build_module(plan)
        own = build_training_callbacks(plan, {**plain_config(config), "classes": plan.data.classes})
        if not trainer.get("enable_progress_bar", True):
            own = [callback for callback in own if not isinstance(callback, ProgressBar)]
        callbacks = [*own, *trainer.pop("callbacks", ())]
        usual = {
            "limit_train_batches": plan.micro_batches_per_epoch,
            "enable_progress_bar": plan.cfg.trainer.progress_bar,
            "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
            "logger": False,
        }
        made = build_trainer(plan.cfg.trainer, callbacks=callbacks, **{**usual, **plan.cfg.trainer.args, **trainer})
        for callback in made.checkpoint_callbacks:
            if folder := getattr(callback, "dirpath", None):
                Path(folder).mkdir(parents=True, exist_ok=True)  # nobody else does
        return module, plan.data, made


def train(config: DictConfig) -> dict[str, Any]:
    """See `assemble.train`."""
    from assemble.programs.train import train_run

    with one_kind_of_error():
        _check(config)
        return train_run(config)


def _check(config: Any) -> None:
    """Refuse what `compose` did not make, and what only the command line answers."""
    from omegaconf import DictConfig, OmegaConf

    from assemble.schema import Config

    if not isinstance(config, DictConfig) or OmegaConf.get_type(config) is not Config:
        raise UserError(
            "this is no configuration of assemble.compose's: make one, as assemble.compose(['data=digits'])"
        )
    for key in ("explain", "prepare"):
        if config[key]:
            raise UserError(f"{key}=true is answered by train.py alone: leave it out")
