"""Images of frost: from a folder of the user's, from an installed package, or drawn.

The published sets were made with six photographs (frost1.png to frost6.jpg in github.com/hendrycks/robustness,
ImageNet-C/create_c/). The package ``imagecorruptions`` ships the same files; it need not be importable.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from assemble.errors import UserError

FILES = {
    "frost1.png": "ff9f907860bd7a83",
    "frost2.png": "fe211a89b336999c",
    "frost3.png": "2d0d50b4a9bb213f",
    "frost4.jpg": "3f8b91ca1a9fa716",
    "frost5.jpg": "5fc6a19df4a429ba",
}
"""Those that are drawn from, and how the SHA-256 of the original's begins."""
DRAWN = len(FILES)
PACKAGES = ("imagecorruptions", "imagenet_c")
"""Packages with the files in a folder ``frost``."""


@dataclass(frozen=True, eq=False)
class Textures:
    """Images of frost and where they come from."""

    images: tuple[np.ndarray, ...]
    """`DRAWN` RGB images, uint8 (H, W, 3)."""
    source: str
    """The folder, or "drawn"."""
    comparable: bool
    """Whether results on them compare with published ones: they are the original's files, byte for byte."""

    def at_least(self, index: int, scale: float, height: int, width: int) -> np.ndarray:
        """Resize image ``index`` by ``scale``, or by more where it would not be larger than (height, width)."""
        image = self.images[index]
        scale = max(scale, (height + 2) / image.shape[0], (width + 2) / image.shape[1])
        return image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale)


def from_folder(folder: str | Path) -> Textures:
    """Read frost1.png, frost2.png, frost3.png, frost4.jpg, frost5.jpg in ``folder``; else UserError."""
    folder = Path(folder).expanduser()
    contents = {name: _read(folder / name) for name in FILES}
    digests = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in contents.items()}
    images = tuple(_decode(content, folder / name) for name, content in contents.items())
    return Textures(images, str(folder), comparable=digests == FILES)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"no frost texture {path} ({error.strerror}): the folder needs {', '.join(FILES)}") from None


def _decode(content: bytes, path: Path) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB) if content else None
    if image is None:
        raise UserError(f"cannot read the frost texture {path}: it is damaged or no image; copy it again")
    return image


@lru_cache(maxsize=1)
def installed() -> Textures:
    """Return the textures of an installed package, else drawn ones."""
    return next((from_folder(folder) for folder in _package_folders()), None) or drawn()


def _package_folders() -> Iterator[Path]:
    for package in PACKAGES:
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            folder = Path(place) / "frost"
            if all((folder / name).is_file() for name in FILES):
                yield folder


@lru_cache(maxsize=1)
def drawn(side: int = 600) -> Textures:
    """Draw bluish needles on patchy ice, always the same: noise, blurred along directions of growth."""
    rng = np.random.default_rng(0)
    return Textures(tuple(_crystals(rng, side) for _ in range(DRAWN)), "drawn", comparable=False)


def _crystals(rng: np.random.Generator, side: int) -> np.ndarray:
    needles = np.zeros((side, side))
    for angle in rng.uniform(0, math.pi, 6):
        reach = np.arange(-24, 25)
        line = np.zeros((49, 49), np.float32)
        rows, columns = np.rint(reach * math.sin(angle)).astype(int), np.rint(reach * math.cos(angle)).astype(int)
        line[rows + 24, columns + 24] = np.exp(-np.abs(reach) / 8)
        needles = np.maximum(needles, cv2.filter2D(rng.normal(size=(side, side)), -1, line))
    patches = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), 40)
    ice = 0.3 + 0.3 * _unit(patches) + 0.4 * _unit(needles)
    return (ice[..., None] ** [1.2, 0.9, 0.7] * 255).astype(np.uint8)


def _unit(x: np.ndarray) -> np.ndarray:
    """Scale to 0..1, but for the outermost percent at both ends, which is clipped."""
    low, high = np.percentile(x, (1, 99))
    return ((x - low) / (high - low)).clip(0, 1)
