"""Sequences of ImageNet-P."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from assemble.errors import UserError
from assemble.robustness.imagenet_p import ImageNetP, read_video
from assemble.robustness.scores import ALEXNET_FLIPS


def video(path: Path, frames: np.ndarray) -> None:
    """Write uint8 (T, H, W, 3), red first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def coloured(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((64, 64, 3), colour, np.uint8) for colour in colours])


def published(root: Path, names: tuple[str, ...] = tuple(ALEXNET_FLIPS), group: str = "") -> Path:
    for name in names:
        video(root / group / name / "n01" / "1.mp4", coloured((200, 30, 30), (30, 30, 200)))
    return root


def test_frames_in_order_with_red_first(tmp_path):
    frames = coloured((200, 30, 30), (30, 200, 30), (30, 30, 200))
    video(tmp_path / "v.mp4", frames)
    found = np.stack(read_video(tmp_path / "v.mp4"))
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - frames).mean() < 12  # the codec's


@pytest.mark.parametrize("group", ["", "noise"])
def test_the_published_folders(tmp_path, group):
    data = ImageNetP(published(tmp_path, group=group), 48)
    assert data.names == list(ALEXNET_FLIPS)
    sequences = data.sequences("tilt")
    assert len(sequences) == 1
    assert sequences[0].shape == (2, 48, 48, 3)  # the centre


def test_what_is_missing_or_damaged(tmp_path):
    published(tmp_path, tuple(ALEXNET_FLIPS)[1:])
    with pytest.raises(UserError, match=r"has no sequences .* of gaussian_noise: set"):
        ImageNetP(tmp_path, 48)
    (tmp_path / "v.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"v\.mp4 is no video"):
        read_video(tmp_path / "v.mp4")
    video(tmp_path / "w.mp4", coloured((1, 2, 3)))
    with pytest.raises(UserError, match=r"w\.mp4 is no video of several frames"):
        read_video(tmp_path / "w.mp4")
