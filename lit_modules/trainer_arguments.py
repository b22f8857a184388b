"""What goes to Lightning's Trainer as it is given: ``trainer.args``, and the callbacks of the group ``callbacks``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler

from assemble.errors import UserError
from assemble.plugins import imported
from assemble.suggest import suggest
from lit_modules.metrics import metrics

OWNED = {
    **{
        name: f"trainer.{name}"
        for name in (
            *("accelerator", "accumulate_grad_batches", "deterministic", "devices", "gradient_clip_val"),
            *("limit_train_batches", "log_every_n_steps", "max_epochs", "max_steps", "num_nodes", "overfit_batches"),
            *("precision", "strategy", "sync_batchnorm"),
        )
    },
    "callbacks": "+callbacks.NAME._target_",
    "check_val_every_n_epoch": "trainer.val_every_epochs",
    "default_root_dir": "output_dir",
    "enable_progress_bar": "trainer.progress_bar",
    "fast_dev_run": "debug=one_batch",
    "logger": "logger",
    "val_check_interval": "trainer.val_every_epochs",
}
"""Keyword of the Trainer that a key of ours sets -> the key."""
FIXED = {
    "barebones",
    "enable_checkpointing",
    "enable_model_summary",
    "inference_mode",
    "num_sanity_val_steps",
    "plugins",
    "reload_dataloaders_every_n_epochs",
    "use_distributed_sampler",
}
"""Keywords of the Trainer that a run rests on."""
PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check ``trainer.args``.

    Raises:
        UserError: a keyword that the Trainer has not, or that is set by a key of ours or not to be set.
    """
    free = [name for name in inspect.signature(Trainer).parameters if name not in OWNED and name not in FIXED]
    for name, value in given.items():
        if name in OWNED:
            raise UserError(f"trainer.args.{name} is set by {OWNED[name]}: use that")
        if name in FIXED:
            raise UserError(f"trainer.args.{name} cannot be changed, since a run rests on it: leave it out")
        if name not in free:
            raise UserError(suggest("keyword of Lightning's Trainer", name, free, prefix="trainer.args."))
        if name in {"limit_val_batches", "limit_test_batches"} and not value:
            raise UserError(f"trainer.args.{name}={value} leaves nothing to score: give at least 1")
        if name == "profiler" and value is not None and value not in PROFILERS:
            raise UserError(suggest("profiler", value, PROFILERS))


def with_profile(given: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return ``trainer.args`` with a profiler that writes into the run's directory, ``fit-profile.txt`` and others."""
    arguments = dict(given)
    if name := arguments.get("profiler"):
        arguments["profiler"] = PROFILERS[name](dirpath=directory, filename="profile")
    return arguments


def own_callbacks(chosen: Mapping[str, Mapping[str, Any] | None]) -> list[Callable[[], Callback]]:
    """Return what makes each callback of the group ``callbacks``.

    Raises:
        UserError: one has no ``_target_``, is no callback of Lightning's, does not take its arguments, or would end the
            training by a score that there is not.
    """
    return [_maker(name, dict(given or {})) for name, given in chosen.items()]


def _maker(name: str, arguments: dict[str, Any]) -> Callable[[], Callback]:
    target = arguments.pop("_target_", None)
    if not target:
        raise UserError(f"callback {name} has no class: set +callbacks.{name}._target_=my_package.MyCallback")
    what = f"callbacks.{name}._target_={target}"
    kind = imported(str(target), what)
    if not (isinstance(kind, type) and issubclass(kind, Callback)):  # whoever writes a recipe may not run anything
        raise UserError(f"{what} is no callback of Lightning's: name a subclass of pytorch_lightning.Callback")
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        raise UserError(f"{what}: {error}") from error
    if issubclass(kind, EarlyStopping) and "monitor" in arguments and arguments.get("strict", True):
        scores = [f"val/{score}" for score in metrics(classes=2)]
        if arguments["monitor"] not in scores:
            raise UserError(
                f"callbacks.{name}.monitor: {suggest('score', arguments['monitor'], scores)}. "
                f"With +callbacks.{name}.strict=false also what a callback of yours logs"
            )

    def make() -> Callback:
        try:
            return kind(**arguments)
        except (TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
            raise UserError(f"{what}: {' '.join(str(error).split())}") from error

    return make
