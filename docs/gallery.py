"""``python -m docs.gallery gallery.png``: what each trick makes of real images, side by side.

A row for every trick that can be seen: those on single images, on batches (with the soft labels), and DropBlock's
masks. Parameters are the defaults; the images are crops of the two photographs that scikit-learn ships.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import sklearn
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from assemble.data.splits import augmented
from tricks import load
from tricks.base import BatchTrick, DataTrick, Trick
from tricks.dropblock import DropBlockTrick, drop_block

SIDE, COLUMNS, LABEL = 112, 8, 14
"""Pixels of an image, images of a row, pixels of a line of text."""
NAMES = ("temple", "flower")

Row = tuple[str, np.ndarray, Sequence[str]]
"""A title, uint8 images (COLUMNS, SIDE, SIDE, 3), a caption for each or none."""


def photographs(count: int = 2 * COLUMNS) -> tuple[np.ndarray, Tensor]:
    """Crops (count, SIDE, SIDE, 3) of two photographs in turn, and their one-hot labels (count, 2)."""
    folder = Path(sklearn.__file__).parent / "datasets" / "images"
    whole = [Image.open(folder / name).convert("RGB") for name in ("china.jpg", "flower.jpg")]
    motifs = [(i + i // COLUMNS) % 2 for i in range(count)]  # partners one row apart differ
    rng = np.random.default_rng(0)
    crops = []
    for motif in motifs:
        image = whole[motif]
        side = int(rng.integers(260, 400))
        left, top = (int(rng.integers(length - side + 1)) for length in image.size)
        crops.append(image.resize((SIDE, SIDE), box=(left, top, left + side, top + side)))
    return np.stack([np.asarray(crop) for crop in crops]), torch.eye(2)[motifs]


def row_of(trick: Trick, images: np.ndarray, targets: Tensor) -> Row | None:
    """What a trick makes of the images; None where it leaves them as they are."""
    trick = trick.at(1.0)
    if isinstance(trick, DropBlockTrick):
        return trick.name, _masked(images[:COLUMNS], trick), ()
    if isinstance(trick, BatchTrick):
        number = COLUMNS * trick.images_per_target
        mixed, rows = trick.mix(_to_float(images[:number]), targets[:number], np.random.default_rng(1))
        return trick.name, _to_uint8(mixed), [_caption(row) for row in rows]
    if isinstance(trick, DataTrick):
        shown = images[:COLUMNS]
        made = [augmented(p.copy(), [trick], np.random.default_rng([2, i])) for i, p in enumerate(shown)]
        last = np.stack([a[-1] if a.ndim == 4 else a for a in made])  # the last of several views
        last = _to_uint8(trick.on_device(_to_float(last), np.random.default_rng(3)))
        return None if np.array_equal(last, shown) else (trick.name, _on_white(last), ())
    return None


def rows() -> Iterator[Row]:
    """The images as they are, and a row for each trick that shows."""
    images, targets = photographs()
    yield "as they are", images[:COLUMNS], [_caption(target) for target in targets[:COLUMNS]]
    for _, cls in sorted(load().items()):
        row = row_of(cls(), images, targets)
        if row:
            yield row


def draw(file: Path) -> None:
    """Write the gallery as one image."""
    bands = []
    for title, images, captions in rows():
        band = Image.new("RGB", (COLUMNS * SIDE, LABEL + SIDE + (LABEL if captions else 0)), "white")
        text = ImageDraw.Draw(band)
        text.text((2, 1), title, fill="black")
        for i, image in enumerate(images):
            band.paste(Image.fromarray(image), (i * SIDE, LABEL))
        for i, caption in enumerate(captions):
            text.text((i * SIDE + 2, LABEL + SIDE + 1), caption, fill="black")
        bands.append(np.asarray(band))
    Image.fromarray(np.concatenate(bands)).quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)


def _to_float(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, H, W) about zero, as after normalisation."""
    return torch.from_numpy(images).movedim(-1, 1).float() / 64 - 2


def _to_uint8(images: Tensor) -> np.ndarray:
    return ((images + 2) * 64).round().clamp(0, 255).byte().movedim(1, -1).numpy()


def _on_white(images: np.ndarray) -> np.ndarray:
    """Images that may have become smaller."""
    whole = np.full((len(images), SIDE, SIDE, 3), 255, np.uint8)
    whole[:, : images.shape[1], : images.shape[2]] = images
    return whole


def _masked(images: np.ndarray, trick: DropBlockTrick) -> np.ndarray:
    """The masks of some channels of a 14x14 map, laid over the images."""
    torch.manual_seed(0)
    kept = drop_block(torch.ones(1, len(images), 14, 14), trick.keep_prob, trick.block_size) > 0
    large = kept[0].repeat_interleave(SIDE // 14, 1).repeat_interleave(SIDE // 14, 2).numpy()
    return np.where(large[..., None], images, 0).astype(np.uint8)


def _caption(target: Tensor) -> str:
    return " ".join(f"{name} {share:.2f}" for name, share in zip(NAMES, target.tolist(), strict=True) if share > 0.005)


if __name__ == "__main__":
    output = Path(sys.argv[1] if len(sys.argv) > 1 else "gallery.png")
    draw(output)
    print(output)
