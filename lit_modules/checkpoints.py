"""Checkpoints of a run: written whole, checked before they are taken, at home in a directory that may be moved."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from assemble.atomic import whole_file
from assemble.errors import UserError
from assemble.models.weights import misfit

LAST = "last.ckpt"
"""What a run goes on from."""
NEEDED = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops", "epoch", "global_step")
"""Entries of a checkpoint without which Lightning cannot go on from it."""


OUTLINE = "outline"
"""In a checkpoint: the hash of all that is in it."""


def outline(content: Any) -> str:
    """Return a hash of all that a checkpoint holds, but for the numbers in its tensors: its file has check sums."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Mapping):
            value = [entry for pair in value.items() if pair[0] != OUTLINE for entry in pair]
        if isinstance(value, list | tuple):
            digest.update(f"{len(value)} entries ".encode())
            for entry in value:
                add(entry)
        elif isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
        else:
            digest.update(f"{type(value).__name__} {value!r} ".encode())

    add(content)
    return digest.hexdigest()


class WholeFiles(TorchCheckpointIO):
    """Lightning's writes into the temporary folder; where that is another file system, its move is a slow copy."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with whole_file(Path(path)) as file:
            try:
                torch.save({**checkpoint, OUTLINE: outline(checkpoint)}, file)
            except RuntimeError as error:
                # A full disk interrupts torch's writer, which then complains that its archive is not complete.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise


class RunCheckpoint(ModelCheckpoint):
    """Lightning's forgets the best score when its directory has another name than before. A run may be moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(self.dirpath or "", Path(path).name)) if path else path

        paths = {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


class ConfigInCheckpoint(Callback):
    """Puts the resolved configuration into every checkpoint, so that weights say how they came about.

    Args:
        config: the configuration, with the names of the classes.
        data: hex digits of the data that is trained on.
        micro_batch: images of one forward pass on one device.
    """

    def __init__(self, config: dict[str, Any], data: str, micro_batch: int) -> None:
        self.config, self.about = config, {"data": data, "micro_batch": micro_batch}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"], checkpoint["about"] = self.config, self.about


def read_checkpoint(path: Path, module: LightningModule) -> Mapping[str, Any]:
    """Read a checkpoint of the run to go on from, or to score.

    Raises:
        UserError: it is missing, damaged, something else, or of another model.
    """
    remedy = f"remove {path.with_name(LAST)}, and the same command begins the run again"
    if not path.is_file():
        raise UserError(f"{path} is missing: put it back, or {remedy}")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():
                raise zipfile.BadZipFile  # torch.load compares no check sums
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} is damaged, or no checkpoint: {remedy}") from error
    lacking = [key for key in NEEDED if not isinstance(content, dict) or key not in content]
    if lacking:
        raise UserError(f"{path} is no checkpoint of a training run (it lacks {lacking[0]}): {remedy}")
    if content.get(OUTLINE, "") not in ("", outline(content)):  # earlier versions had none
        raise UserError(f"{path} is damaged (it is not as it was written): {remedy}")
    reason = misfit(content["state_dict"], module.state_dict())
    if reason:
        raise UserError(f"{path} is of another model ({reason}): {remedy}")
    return content
