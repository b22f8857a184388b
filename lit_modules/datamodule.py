"""The data module: which images each device gets, when, and how they become a batch.

Batches are uint8 images (N, 3, H, W), channels last in memory, int64 labels (N,) and, in training, the images'
positions in the training set (N,). They are normalised on the device: a quarter of the bytes travels. (Evaluation
images may be float32, on the same 0-255 scale.) Training batches have N = images_per_target * micro_batch, and images
(N, V, 3, H, W) where a trick makes V views of each image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from assemble.bounds import check_bounds
from assemble.data.class_map import with_classes
from assemble.data.crops import EVAL_CROP
from assemble.data.held_out import folded
from assemble.data.identity import DataIdentity
from assemble.data.sampler import EpochSampler, eval_batches
from assemble.data.sources import open_source, open_whole
from assemble.data.splits import EvalSet, Split, TrainSet
from assemble.data.train_share import reduced
from assemble.data.verify import check_headers
from assemble.devices import cores
from assemble.errors import UserError
from assemble.schema import Cache, DataConfig, Interpolation
from lit_modules.device_cache import DeviceCache, Draws, check_cached
from tricks.base import hooks_of

if TYPE_CHECKING:
    from tricks.base import DataTrick


def collate(items: Sequence[tuple[Any, ...]]) -> tuple[Tensor, ...]:
    """Stack images (..., H, W, 3) and integers: (N, ..., 3, H, W), channels last in memory, and int64 (N,)s."""
    images, *numbers = zip(*items, strict=True)
    return torch.from_numpy(np.stack(images)).movedim(-1, -3), *map(torch.tensor, numbers)


def collate_draws(items: Sequence[tuple[Any, ...]]) -> tuple[Tensor, ...]:
    """Stack draws (N, 4), labels (N,) and positions (N,)."""
    return tuple(map(torch.tensor, zip(*items, strict=True)))


class TrainLoader(DataLoader[Any]):
    """A loader that goes on in mid-epoch where a checkpoint was written (Lightning saves and restores its state)."""

    sampler: EpochSampler  # type: ignore[override]
    batch_size: int  # type: ignore[override]
    resume = (-1, 0)  # epoch and batch of a checkpoint to go on from
    delivered = 0  # batches of this epoch so far

    @staticmethod
    def finish(batches: Iterator[Any]) -> Iterator[Any]:
        """Return what becomes of the batches that the workers bring; another function may stand here."""
        return batches

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # A generator, so that workers start at the first ``next``. When a run is resumed, Lightning calls ``iter``
        # before ``set_epoch``, and workers would already be loading images of epoch 0.
        epoch, batch = self.resume
        self.resume = (-1, 0)
        self.delivered = batch if epoch == self.sampler.epoch else 0
        self.sampler.start = self.delivered * self.batch_size
        for item in self.finish(super().__iter__()):
            self.delivered += 1
            yield item

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.sampler.epoch, "batch": self.delivered}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.resume = (state["epoch"], state["batch"])


class ClassifierData(LightningDataModule):
    """Loaders of one data set.

    Args:
        cfg: the ``data`` part of the configuration.
        micro_batch: images the network sees at once, on one device.
        accumulate: micro-batches per optimizer step.
        images_per_target: images drawn per image the network sees (2 for the official mixup). A training batch is
            that many runs of ``micro_batch`` images; an epoch has the same number of steps whatever it is.
        tricks: the tricks on single images.
        epochs: the length of the training, which their moving strengths go by.
        seed: with the epoch it fixes the order and every augmentation, whatever the number of workers.
        eval_batch: images per device in evaluation; None: ``micro_batch``.
        same_epochs: every epoch has the images of the first one, in its order and with its augmentations.
        classes: names in the order of the labels, of which the data may lack some; None: the data's own.

    Attributes:
        num_classes, classes, train_size: known before a Trainer is attached.

    Raises:
        UserError: unknown data set, missing or unusable folders, impossible settings.
    """

    def __init__(
        self,
        cfg: DataConfig,
        *,
        micro_batch: int,
        accumulate: int = 1,
        images_per_target: int = 1,
        tricks: Sequence[DataTrick] = (),
        epochs: int = 1,
        seed: int = 0,
        eval_batch: int | None = None,
        same_epochs: bool = False,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        check_bounds(cfg, "data.")
        self.cfg = cfg
        self.micro_batch = micro_batch
        self.accumulate = accumulate
        self.images_per_target = images_per_target
        self.seed = seed
        self.same_epochs = same_epochs
        self.eval_batch = micro_batch if eval_batch is None else eval_batch
        self._whole = open_whole(cfg)
        source = reduced(folded(self._whole, cfg), cfg)
        if cfg.verify:
            check_headers(source.folders)
        self.source = with_classes(source, classes, "the network that training starts from") if classes else source
        self.tricks = tricks
        self.train_set = TrainSet(
            self.source.train, self.source.train_crop, cfg.image_size, tricks=tricks, epochs=epochs, seed=seed
        )
        self._cache: DeviceCache | None = None
        if cfg.cache is Cache.device:
            check_cached(self.train_set)
        self.classes = self.source.classes
        self.num_classes = len(self.classes)
        self.train_size = len(self.train_set)

    @cached_property
    def identity(self) -> DataIdentity:
        """Which data this is. Looks at the size of every file, so not before somebody asks."""
        return DataIdentity.of(self._whole)

    def steps_per_epoch(self, world: int = 1) -> int:
        """Return the optimizer steps per epoch on ``world`` devices."""
        batch = self.micro_batch * self.accumulate * world
        if batch > self.train_size:
            raise UserError(
                f"data.batch_size={batch} is more than the {self.train_size} training images, so an epoch has no "
                f"step: set data.batch_size to {self.train_size} or less"
            )
        return self.train_size // batch

    def train_dataloader(self) -> TrainLoader:
        rank, world = self._place()
        self.steps_per_epoch(world)
        drawing = next((trick for trick in self.tricks if "drawn" in hooks_of(trick)), None)
        sampler = EpochSampler(
            self.train_size,
            self.micro_batch,
            accumulate=self.accumulate,
            images_per_target=self.images_per_target,
            repeats=math.prod(trick.repeats for trick in self.tricks),
            drawn=partial(drawing.drawn, np.asarray(self.source.train.labels)) if drawing else None,
            seed=self.seed,
            rank=rank,
            world=world,
            same=self.same_epochs,
        )
        batch = self.images_per_target * self.micro_batch
        if self.cfg.cache is Cache.device:
            cache = self._device_cache(self.trainer.strategy.root_device if self.trainer else torch.device("cpu"))
            loading: dict[str, Any] = {**self._loading(), "collate_fn": collate_draws}
            draws = Draws(self.train_set, cache.crop)
            loader = TrainLoader(draws, batch_size=batch, sampler=sampler, drop_last=True, **loading)  # type: ignore[arg-type]
            loader.finish = cache.batches
            return loader
        return TrainLoader(self.train_set, batch_size=batch, sampler=sampler, drop_last=True, **self._loading())  # type: ignore[arg-type]

    def _device_cache(self, device: torch.device) -> DeviceCache:
        if self._cache is None or self._cache.images.device != device:
            self._cache = DeviceCache(self.train_set, device)
        return self._cache

    def val_dataloader(self) -> DataLoader[Any]:
        return self._eval_loader("val", self.source.val)

    def test_dataloader(self) -> DataLoader[Any]:
        return self._eval_loader("test", self.source.test)

    def _eval_loader(self, name: str, split: Split) -> DataLoader[Any]:
        rank, world = self._place()
        if len(split.labels) < world:
            raise UserError(f"the {name} set has {len(split.labels)} images for {world} devices: use fewer devices")
        batches = eval_batches(len(split.labels), self.eval_batch, rank, world)
        return self.loader(EvalSet(split, self.source.eval_crop), batches)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave positions on the host: what is stored by position is then found without waiting for the device."""
        return *super().transfer_batch_to_device(tuple(batch[:2]), device, dataloader_idx), *batch[2:]

    def loader(self, images: EvalSet, batches: Sequence[Sequence[int]]) -> DataLoader[Any]:
        """Return a loader of batches (images, labels) of the given positions, in the given order."""
        return DataLoader(images, batch_sampler=batches, **self._loading())  # type: ignore[arg-type]

    def train_set_as_scored(self, size: int) -> EvalSet:
        """Return the training images without augmentation: the evaluation crop, at ``size`` pixels."""
        source = open_source(replace(self.cfg, image_size=size, eval_size=size, eval_resize=None))
        return EvalSet(source.train, source.eval_crop)

    @property
    def view_as_scored(self) -> str:
        """In words, the settings that `train_set_as_scored` depends on beside the size."""
        bicubic = ", bicubic" if self.cfg.eval_interpolation is Interpolation.bicubic else ""
        turned = ", turned by EXIF" if self.cfg.exif_orientation else ""
        white = "" if self.cfg.white is None else f", white {self.cfg.white:g}"
        crop = "squeezed" if self.cfg.eval_squeeze else f"crop {self.cfg.eval_crop or EVAL_CROP:g}"
        return f"{self.cfg.name}, {self.cfg.preprocessing.value}, {crop}{bicubic}{turned}{white}"

    def _place(self) -> tuple[int, int]:
        """Return rank and number of ranks."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loading(self) -> dict[str, Any]:
        """Return how images are loaded; none of it changes what is loaded."""
        # The devices of a machine share its cores, and each worker is one thread (torch sees to that).
        workers = min(self.cfg.num_workers, max(1, cores() // (self.trainer.num_devices if self.trainer else 1)))
        return {
            "collate_fn": collate,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            # Else every loader draws a number from torch's global generator, which the network's dropout uses.
            "generator": torch.Generator().manual_seed(self.seed),
        }
