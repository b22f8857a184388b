"""Slow weights beside those that are trained, which become them every few steps (`tricks.lookahead`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor


class SlowWeights(Callback):
    """Keeps them, in the checkpoint too.

    Args:
        every: optimizer steps between two meetings.
        share: progress of the training (0 to 1) -> the share of the slow weights that stays.
    """

    def __init__(self, every: int, share: Callable[[float], float]) -> None:
        self.every, self.share = every, share
        self._slow: dict[str, Tensor] | None = None
        self._met = 0

    def state_dict(self) -> dict[str, Any]:
        return {"slow": self._slow, "met": self._met}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._slow, self._met = state_dict["slow"], state_dict["met"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        own = _weights(pl_module)
        slow = self._slow or own
        self._slow = {name: slow[name].detach().to(value.device, copy=True) for name, value in own.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module: Any = pl_module
        step, last = trainer.global_step, module.schedule.total_steps
        if step == self._met or (step % self.every and step < last):
            return
        assert self._slow is not None
        self._met = step
        if not step % self.every:
            stays = self.share(step / last)
            for name, fast in _weights(pl_module).items():
                self._slow[name].lerp_(fast, 1 - stays)
        for name, fast in _weights(pl_module).items():
            fast.copy_(self._slow[name])


def _weights(module: LightningModule) -> dict[str, Tensor]:
    """Return parameters and buffers of floats of the network."""
    network: Any = module.model
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
