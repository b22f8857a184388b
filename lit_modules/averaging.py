"""An average of the network's weights, kept beside them while they train.

Why not Lightning's `WeightAveraging` (2.6.6): after a fit, `Trainer.test` of a checkpoint scores the raw weights in it;
it reads a number from the device at every step, and averages counters and the metrics' states. timm's `ModelEmaV3`
knows neither validation nor checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lit_modules.batch_norm import measure_statistics
from lit_modules.classifier import Classifier

Share = Callable[[int, Classifier], float]
"""(number of the update, from 1; the module) -> share of today's weights in the average, or 0 for no update."""


class WeightAverage(Callback):
    """Averages the network's state_dict: average += share * (weights - average), after each optimizer step.

    All floating-point entries are averaged, so the statistics of batch norm too; the others (counters) are copied. The
    average begins as the initial weights and is kept in float32 or better.

    From the first update on, the average is what is validated, what a checkpoint's ``state_dict`` holds, and what the
    network has when training ends: the weights that chose ``best.ckpt`` are those in it, and those that are scored.
    A checkpoint has both kinds in this callback's state, so that a run goes on as if it had not been stopped.

    Args:
        share: when the average moves, and how far.
        scored: False: the average is kept and saved only, and the raw weights are validated, saved and scored as ever.
        reestimate: batch norm's statistics are not averaged but measured after each update (`measure_statistics`).
    """

    def __init__(self, share: Share, *, scored: bool = True, reestimate: bool = False) -> None:
        self.share, self.scored, self.reestimate = share, scored, reestimate
        self.updates = 0
        self.average: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}  # the live network's own tensors
        self._moving: list[str] = []
        self._counters: list[str] = []
        self._aside: dict[str, Tensor] = {}  # copies of them, while the average is in their place
        self._restored: Mapping[str, Any] = {}
        self._step = 0

    @property
    def _in_front(self) -> bool:
        return self.scored and self.updates > 0 and bool(self._weights)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        self._weights = pl_module.model.state_dict()
        self.average = {name: _precise(weight).clone() for name, weight in self._weights.items()}
        self._moving = [name for name, weight in self._weights.items() if weight.is_floating_point()]
        self._counters = [name for name in self._weights if name not in self._moving]
        if self._restored:
            _copy(self.average, self._restored["average"])
            _copy(self._weights, self._restored["weights"])  # Lightning has put the average there
            self.updates, self._restored = self._restored["updates"], {}
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:  # gradients are being accumulated
            return
        self._step = trainer.global_step
        assert isinstance(pl_module, Classifier)
        share = self.share(self.updates + 1, pl_module)
        if share:
            self.updates += 1
            self._update(share)
            if self.reestimate:
                self._measure(trainer, pl_module)

    @torch.no_grad()
    def _update(self, share: float) -> None:
        averages = [self.average[name] for name in self._moving]
        weights = [_precise(self._weights[name]) for name in self._moving]
        _copy(self.average, {name: self._weights[name] for name in self._counters})
        get_ema_multi_avg_fn(1 - share)(averages, weights, self.updates)

    def _measure(self, trainer: Trainer, module: Classifier) -> None:
        """Measure batch norm's statistics of the averaged network."""
        self._swap_in()
        measure_statistics(trainer, module)
        buffers = dict(module.model.named_buffers())
        _copy(self.average, {name: buffers[name] for name in self._moving if name in buffers})
        self._swap_out()

    # --- the average in the network's place

    def _swap_in(self) -> None:
        self._aside = {name: weight.clone() for name, weight in self._weights.items()}
        _copy(self._weights, self.average)

    def _swap_out(self) -> None:
        _copy(self._weights, self._aside)
        self._aside = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._in_front:
            self._swap_in()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._aside:
            self._swap_out()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._in_front:
            _copy(self._weights, self.average)
        self._weights = {}

    # --- checkpoints

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "average": self.average, "weights": dict(self._weights)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict  # for `on_train_start`: the network is not on its device yet

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._in_front:
            # The same tensors as in `state_dict` of this callback: torch writes them once.
            averaged = {f"model.{name}": average for name, average in self.average.items()}
            checkpoint["state_dict"] = {**checkpoint["state_dict"], **averaged}


def _precise(weight: Tensor) -> Tensor:
    """Return the tensor itself, or as float32 where its type is too coarse for small steps."""
    return weight.float() if weight.dtype in (torch.bfloat16, torch.float16) else weight


@torch.no_grad()
def _copy(to: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        to[name].copy_(value)
