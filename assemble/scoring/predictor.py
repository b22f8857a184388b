"""A trained network on a device, and the batches it is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from assemble.devices import cores
from assemble.errors import UserError
from assemble.scoring.trained import Trained
from assemble.suggest import suggest
from lit_modules.datamodule import collate

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Predictor:
    """Images (N, 3, H, W) on the 0-255 scale -> logits (N, K), float32, on the device.

    Args:
        trained: the network.
        device: where it runs.
        precision: 32-true, bf16-mixed or 16-mixed.
        flip: the mean of the logits of each image and its mirror image. Published code (FFCV's rn50 recipes) adds
            them, which gives the same classes; the mean leaves loss and calibration on their scale.
        translate: pixels; half of the logits are then those of the image itself, and a quarter each of it moved up and
            left and moved down and right, with what comes in mirrored (airbench's test-time augmentation, of 1 pixel).

    Raises:
        UserError: an unknown precision, or one that the device has not.
    """

    def __init__(
        self,
        trained: Trained,
        device: torch.device,
        *,
        precision: str = "32-true",
        flip: bool = False,
        translate: int = 0,
    ) -> None:
        if precision not in AUTOCAST:
            raise UserError(suggest("trainer.precision", precision, AUTOCAST))
        if precision == "16-mixed" and device.type == "cpu":
            raise UserError("trainer.precision=16-mixed needs a GPU: on a CPU take bf16-mixed or 32-true")
        self.trained, self.device, self.flip, self.translate = trained, device, flip, translate
        kind = AUTOCAST[precision]
        self._context: Callable[[], Any] = (
            nullcontext if kind is None else lambda: torch.autocast(device.type, dtype=kind)
        )

    def __call__(self, images: Tensor) -> Tensor:
        images = images.to(self.device, non_blocking=True)
        with torch.inference_mode(), self._context():
            logits = self._mirrored(images)
            if not self.translate:
                return logits
            moved = [self._mirrored(view) for view in translated(images, self.translate)]
            return logits / 2 + sum(moved) / 4

    def _mirrored(self, images: Tensor) -> Tensor:
        logits = self.trained(images)
        return (logits + self.trained(images.flip(3))) / 2 if self.flip else logits


def translated(images: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, H, W) moved down and right, and up and left; what comes in is mirrored at the border."""
    height, width = images.shape[2:]
    padded = F.pad(images.float(), (pixels,) * 4, mode="reflect")
    return padded[..., :height, :width], padded[..., 2 * pixels :, 2 * pixels :]


class Items(Protocol):
    """What a loader takes from."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class Loading:
    """Makes loaders: batches of images, or sequences of frames one by one.

    Args:
        batch: images of a batch.
        workers: processes; at most one for each core.
        device: the memory of what goes to a GPU is pinned.
    """

    def __init__(self, batch: int, workers: int, device: torch.device) -> None:
        self._batch = batch
        self._more: dict[str, Any] = {"num_workers": min(workers, cores()), "pin_memory": device.type == "cuda"}

    def __call__(self, images: Items) -> DataLoader[Any]:
        """Return a loader of batches (images (N, 3, H, W), labels (N,)) in order."""
        return DataLoader(images, batch_size=self._batch, collate_fn=collate, **self._more)  # type: ignore[arg-type]

    def sequences(self, videos: Items) -> DataLoader[Any]:
        """Return a loader of the frames (T, 3, H, W) of one sequence after the other."""
        return DataLoader(videos, batch_size=None, collate_fn=frames_first, **self._more)  # type: ignore[arg-type]


def frames_first(frames: np.ndarray) -> Tensor:
    """Turn frames (T, H, W, 3) into (T, 3, H, W)."""
    return torch.from_numpy(frames).movedim(-1, -3)
