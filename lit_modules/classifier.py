"""The training step of every classifier. Knows no trick: it asks whatever batch and loss tricks it was given.

Shapes: images uint8 (N, 3, H, W), or (N, V, 3, H, W) with V views of each; labels and positions in the training set
(N,); targets (B, K), logits (B, K).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.schema import OptimConfig
from lit_modules.features import ClassifierInput
from lit_modules.freezing import keep_frozen
from lit_modules.losses import soft_cross_entropy
from lit_modules.metrics import RunningMean, computed, metrics, update
from lit_modules.optim import build_optimizer
from lit_modules.schedule import Schedule
from lit_modules.turns import turn
from tricks.base import LossTrick, hooks_of

if TYPE_CHECKING:
    from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig

    from tricks.base import BatchTrick, Companion, DataTrick, OptimTrick


class Classifier(LightningModule):
    """A network with its loss, optimizer, schedule and metrics."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        num_classes: int,
        optim: OptimConfig,
        schedule: Schedule,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        label_offset: int = 0,
        data_tricks: Sequence[DataTrick] = (),
        batch_tricks: Sequence[BatchTrick] = (),
        loss_tricks: Sequence[LossTrick] = (),
        companions: Sequence[Companion | None] = (),
        optim_tricks: Sequence[OptimTrick] = (),
        seed: int = 0,
        log_every: int = 50,
        ece_bins: int = 15,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> None:
        super().__init__()
        self.model = model
        self.num_classes = num_classes
        self.optim, self.schedule = optim, schedule
        self.label_offset = label_offset
        self.data_tricks, self.batch_tricks = list(data_tricks), list(batch_tricks)
        self.loss_tricks, self.optim_tricks = list(loss_tricks), list(optim_tricks)
        self.criterion = next((trick for trick in self.loss_tricks if "loss" in hooks_of(trick)), None)
        wanted = any(type(trick).feature_term is not LossTrick.feature_term for trick in self.loss_tricks)
        self._features = ClassifierInput(model) if wanted else None
        self.companions = list(companions) or [None] * len(self.loss_tricks)  # one for each loss trick
        self.seed, self.log_every = seed, log_every
        self.memory_format = memory_format
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.val_metrics = metrics(num_classes)
        self.test_metrics = metrics(num_classes, ece=ece_bins)
        self._loss, self._top1 = RunningMean(), RunningMean()
        self._answers = torch.empty(0, num_classes), torch.empty(0, num_classes)  # the last logits, and their targets
        self._logged_step, self._counted = 0, -1
        self.last_loss = self.last_lr = self.last_top1 = float("nan")
        """For the progress bar: mean training loss at the last logging, learning rate, training top-1 of the epoch."""
        self.watched: dict[str, float] = {}
        """What monitors add to the next logging."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, K) of images on the 0-255 scale (B, 3, H, W)."""
        return self.model(self.normalise(images))

    def normalise(self, images: Tensor) -> Tensor:
        """Return uint8 or float images (B, 3, H, W) as float, minus mean, over standard deviation."""
        images = images.to(memory_format=self.memory_format)  # while they are small; most are so already
        return (images - self.mean).div_(self.std)  # a new tensor: the caller's images stay

    # --- training

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        keep_frozen(self.model)
        return self

    def network_scale(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised images (N * V, 3, H, W) and dense targets (N, K) of a loaded batch."""
        images = self.normalise(images.flatten(0, 1) if images.ndim == 5 else images)
        return images, F.one_hot(labels + self.label_offset, self.num_classes).float()

    def on_train_epoch_start(self) -> None:
        self._counted = -1

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # All randomness of a step follows from these four numbers, so a resumed run repeats what it would have done.
        key = [self.seed, self.current_epoch, batch_idx, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sums = {"loss": self._loss.state(), "top1": self._top1.state()}
        checkpoint["logging"] = {**sums, "step": self._logged_step, "lr": self.last_lr, "last_loss": self.last_loss}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if logging := checkpoint.get("logging"):  # one of an earlier version has none, and is of an epoch's end
            self._loss.restore(logging["loss"])
            self._top1.restore(logging["top1"])
            self._logged_step, self.last_lr, self.last_loss = (logging[key] for key in ("step", "lr", "last_loss"))

    @property
    def progress(self) -> float:
        """The share of the training that is over, by optimizer steps: where moving strengths are."""
        return min(self.global_step / self.schedule.total_steps, 1.0)

    def training_loss(
        self, images: Tensor, targets: Tensor, index: Tensor, rng: np.random.Generator, progress: float
    ) -> Tensor:
        """Return the loss of a batch.

        Args:
            images: normalised images (N * V, 3, H, W), the V views of each one after the other.
            targets: dense targets (N, K).
            index: the images' positions in the training set (N,), on the host.
            rng: draws everything the tricks draw.
            progress: the share of the training that is over.
        """
        images, targets, mixed = self.inputs(images, targets, index, rng, progress)
        logits = self.model(images).unflatten(0, (-1, len(targets))).float()
        self._answers = logits[0].detach(), targets
        criterion = self.criterion.at(progress).loss if self.criterion else soft_cross_entropy
        loss = criterion(logits[0], targets)
        share = math.prod(trick.at(progress).label_weight for trick in self.loss_tricks)
        loss = loss if share == 1 else loss * share
        for loss_trick, companion in zip(self.loss_tricks, self.companions, strict=True):
            term = loss_trick.at(progress).term(logits, mixed.pop(0) if companion else None)
            loss = loss if term is None else loss + term
            if self._features:
                term = loss_trick.at(progress).feature_term(self._features.take(logits), logits, targets)
                loss = loss if term is None else loss + term
        return loss

    def inputs(
        self, images: Tensor, targets: Tensor, index: Tensor, rng: np.random.Generator, progress: float
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return what the network sees and what it is compared with; arguments as in `training_loss`.

        Returns:
            images (V * B, 3, H, W), all first views first; shaped targets (B, K); the mixed targets (B, K) of each
            companion.
        """
        views = len(images) // len(targets)
        for data_trick in self.data_tricks:
            images = data_trick.at(progress).on_device(images, rng)
        # Targets that tricks bring along stand beside the labels' while images are mixed, and so get the same shares.
        companions = [(c, trick.sees_mixed) for trick, c in zip(self.loss_tricks, self.companions, strict=True) if c]
        beside = [companion(images[::views], index) for companion, after in companions if not after]
        rows = torch.cat([targets, *beside], 1) if beside else targets
        if views > 1:  # mixed together
            images = images.unflatten(0, (-1, views)).flatten(1, 2)
        if self.batch_tricks:
            trick = turn([trick.at(progress) for trick in self.batch_tricks], rng)
            count = len(images) // self.batch_tricks[0].images_per_target
            images, rows = trick.mix(images, rows, rng) if trick else (images[:count], rows[:count])
        if views > 1:  # (B, V * 3, H, W) -> (V * B, 3, H, W), all first views first
            images = images.unflatten(1, (views, -1)).transpose(0, 1).flatten(0, 1)
        targets, *before = rows.split(self.num_classes, 1)
        mixed = [c(images[: len(targets)], index) if after else before.pop(0) for c, after in companions]
        for loss_trick in self.loss_tricks:
            targets = loss_trick.at(progress).targets(targets)
        return images, targets, mixed

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels, index = batch
        # The last number keeps this key apart from those of the images' augmentations (assemble.data.sampler).
        rng = np.random.default_rng([self.seed, self.current_epoch, batch_idx, self.global_rank, 1])
        loss = self.training_loss(*self.network_scale(images, labels), index, rng, self.progress)
        if batch_idx != self._counted:  # an optimizer may ask again, for the gradient at another point
            self._counted = batch_idx
            self._loss.add(loss.detach())
            logits, targets = self._answers
            self._top1.add((logits.argmax(1) == targets.argmax(1)).sum(), len(targets))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.last_lr = optimizer.param_groups[0]["lr"]  # after the step it is the next one's

    def logs_at(self, step: int) -> bool:
        """Return whether the loss is logged after this optimizer step, which is the present one."""
        due = step % self.log_every == 0 and step > self._logged_step
        # The end of an epoch comes before its validation and checkpoint: a lost run must not overwrite a good one.
        return due or self.trainer.is_last_batch

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.logs_at(self.global_step):
            self._log_training(self.trainer.is_last_batch)

    def _log_training(self, epoch_ends: bool) -> None:
        """Log the mean loss since the last logging; at an epoch's end also its top-1 accuracy of training.

        That is the share (in %) of the epoch's images, each as the network saw it then (augmented, in training mode),
        for which its first answer was the right class; of a mixed image, the class with the greatest share.
        """
        self.last_loss, self._logged_step = self._loss.take(), self.global_step
        if not np.isfinite(self.last_loss):
            raise UserError(
                f"the training loss is {self.last_loss} at step {self.global_step} (epoch {self.current_epoch}): "
                "lower optim.lr, lengthen optim.warmup_epochs or set trainer.gradient_clip_val"
            )
        # Straight to the loggers: self.log costs some 0.5 ms a call, half of a small model's step.
        scores = {"train/loss": self.last_loss, "lr": self.last_lr, "epoch": self.current_epoch, **self.watched}
        self.watched = {}
        if epoch_ends:
            scores["train/top1"] = self.last_top1 = 100 * self._top1.take()
        for logger in self.loggers:
            logger.log_metrics(scores, step=self.global_step)

    # --- evaluation: one-hot targets, no tricks

    def _score(self, metrics: nn.ModuleDict, batch: tuple[Tensor, ...]) -> None:
        images, labels = batch[:2]
        update(metrics, self(images).float(), labels + self.label_offset)

    def _log_scores(self, split: str, metrics: nn.ModuleDict) -> None:
        scores = {f"{split}/{name}": value for name, value in computed(metrics).items()}
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        self.log_dict(scores, sync_dist=True, logger=False if fitting else None)
        if fitting and not self.trainer.sanity_checking:
            # Lightning's step would be that before the last one: the training's rows beside it have the number after.
            row = {name: float(value) for name, value in scores.items()}
            for logger in self.loggers:
                logger.log_metrics({**row, "epoch": self.current_epoch}, step=self.global_step)
                logger.save()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._score(self.val_metrics, batch)

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val", self.val_metrics)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._score(self.test_metrics, batch)

    def on_test_epoch_end(self) -> None:
        self._log_scores("test", self.test_metrics)

    # --- optimization

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = build_optimizer(self.model, self.optim)
        for trick in self.optim_tricks:
            optimizer = trick.wrap(optimizer, self.model)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
