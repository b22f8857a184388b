"""ImageNet-P: each sequence an MP4 file of one image under a perturbation that goes on from frame to frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assemble.errors import UserError
from assemble.robustness.scores import ALEXNET_FLIPS, ALEXNET_FLIPS_EXTRA
from assemble.robustness.sets import central


class ImageNetP:
    """Folders ``<perturbation>/<class>/*.mp4``, in groups (noise/, digital/, ...) or not.

    The published frames are shown without a resize, as in the official code (ImageNet-P/test.py of
    hendrycks/robustness). Labels play no part: predictions are compared with each other.

    Raises:
        UserError: one of the ten perturbations is missing, or has no sequences.
    """

    def __init__(self, root: Path, size: int) -> None:
        self.size = size
        known = (*ALEXNET_FLIPS, *ALEXNET_FLIPS_EXTRA)
        self._files = {name: _videos(root, name) for name in known}
        lacking = [name for name in ALEXNET_FLIPS if not self._files[name]]
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise UserError(
                f"{root} has no sequences (<perturbation>/<class>/*.mp4) of {lacking[0]}{more}: set "
                "eval.corruptions_root to the published ones"
            )
        self.names = [name for name in known if self._files[name]]
        self.about = {"sequences": "as published"}

    def sequences(self, name: str) -> Sequences:
        return Sequences(self._files[name], self.size)


def _videos(root: Path, name: str) -> list[Path]:
    return sorted(root.glob(f"{name}/*/*.mp4")) or sorted(root.glob(f"*/{name}/*/*.mp4"))


class Sequences:
    """Frames uint8 (T, size, size, 3) by position."""

    def __init__(self, files: list[Path], size: int) -> None:
        self._files, self._size = files, size

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> np.ndarray:
        return np.stack([central(frame, self._size) for frame in read_video(self._files[index])])


def read_video(path: Path) -> list[np.ndarray]:
    """Read the frames of a video, uint8 (H, W, 3) each, red first.

    Raises:
        UserError: it cannot be decoded, or has fewer than two frames.
    """
    import cv2

    video, frames = cv2.VideoCapture(str(path)), []
    try:
        while True:
            there, frame = video.read()
            if not there:
                break
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        video.release()
    if len(frames) < 2:
        raise UserError(f"{path} is no video of several frames that OpenCV can decode: replace it, or remove it")
    return frames
