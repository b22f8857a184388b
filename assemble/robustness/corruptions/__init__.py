"""Common corruptions at five severities (Hendrycks & Dietterich 2019, arXiv 1903.12261), as in the published sets.

``corrupt(image, "fog", 3, corruption_rng(seed, index, "fog", 3))``. From the same random numbers it gives the
images of the published code (`randomness` beside this). What differs: an image may have any size from 28 pixels
up, need not be square, and may be grey; nothing is drawn from a global generator.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

from assemble.errors import UserError
from assemble.robustness.corruptions.constants import CORRUPTIONS, EXTRA, PRESETS
from assemble.suggest import suggest

if TYPE_CHECKING:
    import numpy as np

    from assemble.robustness.corruptions.randomness import Random
    from assemble.robustness.corruptions.textures import Textures

__all__ = ["CORRUPTIONS", "EXTRA", "SEVERITIES", "check_corruption", "corrupt", "corruption_rng"]

SEVERITIES = (1, 2, 3, 4, 5)
SMALLEST = 28
"""Pixels of the shorter side; below, the published strengths leave no image."""
JPEG_QUALITY = 85
"""The published folders hold JPEG files of this quality."""

Preset = Literal["imagenet", "tiny", "cifar"]


def corrupt(
    image: np.ndarray,
    name: str,
    severity: int,
    rng: Random,
    *,
    preset: Preset = "imagenet",
    textures: Textures | None = None,
    jpeg: bool = False,
) -> np.ndarray:
    """Return a corrupted copy of ``image``, uint8 (H, W, 3) or (H, W), sides of at least 28 pixels; of its shape.

    ``preset`` says whose strengths to take: ImageNet-C's (224 pixels), Tiny-ImageNet-C's (64) or CIFAR-10-C's (32).
    They are in pixels, whatever the image's size. ``textures`` is what frost is made of (`textures.py`): by default
    those of an installed package, else drawn ones, whose results do not compare with published ones
    (``textures.installed().comparable``). ``jpeg`` sends the result through a JPEG file of quality 85, as the published
    ImageNet-C has been (and CIFAR-10-C has not).

    Values are truncated to uint8, not rounded, as in the original. Raises UserError for what cannot be done.
    """
    check_corruption(name, severity, preset)
    _check_image(image)
    import numpy as np

    from assemble.robustness.corruptions.functions import FUNCTIONS
    from assemble.robustness.corruptions.textures import installed

    x = image.reshape(*image.shape[:2], -1)
    more = {"textures": textures or installed()} if name == "frost" else {}
    result = FUNCTIONS[name](x, rng, *PRESETS[preset][name][int(severity) - 1], **more)
    if result.dtype != np.uint8:
        result = (result.clip(0, 1) * 255).astype(np.uint8)
    if jpeg:
        result = FUNCTIONS["jpeg_compression"](result, rng, JPEG_QUALITY)
    return result.reshape(image.shape)


def corruption_rng(seed: int, index: int, name: str, severity: int) -> np.random.Generator:
    """Return the generator for one corruption of image ``index``: the same whatever is done before, and by whom."""
    import numpy as np

    return np.random.default_rng([seed, index, zlib.crc32(name.encode()), severity])


def check_corruption(name: str, severity: int, preset: str) -> None:
    """Raise UserError unless there is such a corruption, severity and preset."""
    if name not in CORRUPTIONS + EXTRA:
        raise UserError(suggest("corruption", name, CORRUPTIONS + EXTRA))
    if severity not in SEVERITIES:
        raise UserError(f"severity {severity!r} of {name}: it is a whole number from 1 to 5")
    if preset not in PRESETS:
        raise UserError(suggest("preset of corruptions", preset, PRESETS))


def _check_image(image: np.ndarray) -> None:
    kind = f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}".strip()
    if not kind.startswith("uint8") or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise UserError(f"an image to corrupt is a uint8 array (H, W, 3) or (H, W), not {kind}")
    if min(image.shape[:2]) < SMALLEST:
        raise UserError(f"an image to corrupt has at least {SMALLEST} pixels on each side, not {kind}: resize it first")
