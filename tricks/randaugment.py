"""RandAugment: each image gets a few random operations, all at one strength.

Paper: Cubuk et al. 2019 (arXiv 1909.13719); timm's form in arXiv 2110.00476 (m7-mstd0.5-inc1, its recipes A1 and A2).
Changes: single images, after crop and flip: ``num_ops`` times, one operation of the space is drawn evenly.
Differs: every code has a space of its own with its own magnitudes, so the parameters belong together. The defaults are
arXiv 2110.00476's: timm skips operations half the time, draws a magnitude for each, and fills empty space with
ImageNet's mean. ``space=torchvision magnitude=9 magnitude_std=0 probability=1`` is torchvision's; EfficientNetV2 (arXiv
2104.00298) has ``space=efficientnetv2 magnitude_std=0 probability=1`` and magnitudes from 5 to 10, 15 or 20. At
magnitude 0 operations change nothing but for those without a strength, timm's Posterize (4 bits) and Solarize (255).
Where timm asks Pillow for 0 bits, which is an error since Pillow 13, the image is black here, as it was before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from PIL.Image import Resampling

from assemble.bounds import bounded
from assemble.data.image_ops import PILLOW, TENSORFLOW, as_image
from assemble.errors import require
from tricks._alone import Draws, generator_of
from tricks._augment import Size, Space, Step, Strengths, choose, either_sign, paper_strengths, tensorflow_strengths
from tricks.base import DataTrick, Strength, register, strength

MEAN = (124, 116, 104)
"""ImageNet's mean colour."""


class SpaceName(Enum):
    """Whose operations and magnitudes."""

    timm_increasing = "timm_increasing"
    timm = "timm"
    torchvision = "torchvision"
    efficientnetv2 = "efficientnetv2"


def timm_strengths(increasing: bool) -> Callable[..., Strengths]:
    """Return the strengths at magnitudes of 0 to 10 in timm's code.

    Geometry takes bilinear or bicubic, drawn evenly.

    Args:
        increasing: a higher magnitude is stronger for every operation (``inc1``). Else Posterize and Solarize are
            weaker, and colours change least at 5.
    """

    def strengths(name: str, level: float, rng: np.random.Generator, size: Size) -> Strengths:
        share = level / 10
        how = (Resampling.BILINEAR if rng.random() < 0.5 else Resampling.BICUBIC, MEAN)
        match name:
            case "Rotate":
                return (either_sign(share * 30, rng), *how)
            case "ShearX" | "ShearY":
                return (either_sign(share * 0.3, rng), *how)
            case "TranslateX" | "TranslateY":
                side = size[1] if name == "TranslateX" else size[0]
                return (either_sign(share * 0.45, rng) * side, *how)
            case "Color" | "Contrast" | "Brightness" | "Sharpness":
                return (max(0.1, 1 + either_sign(share * 0.9, rng)) if increasing else share * 1.8 + 0.1,)
            case "Posterize":
                return (4 - int(share * 4) if increasing else int(share * 4),)
            case "Solarize":
                return (256 - int(share * 256) if increasing else int(share * 256),)
            case "SolarizeAdd":
                return (int(share * 110),)
            case _:
                return ()

    return strengths


_TIMM = choose(
    PILLOW,
    "AutoContrast Equalize Invert Rotate Posterize Solarize SolarizeAdd Color Contrast Brightness Sharpness ShearX "
    "ShearY TranslateX TranslateY",
)
SPACES: dict[SpaceName, Space] = {
    SpaceName.timm_increasing: Space(_TIMM, 10, timm_strengths(increasing=True)),
    SpaceName.timm: Space(_TIMM, 10, timm_strengths(increasing=False)),
    SpaceName.torchvision: Space(
        choose(
            PILLOW,
            "Identity ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness Posterize "
            "Solarize AutoContrast Equalize",
        ),
        30,
        paper_strengths(30),
    ),
    SpaceName.efficientnetv2: Space(
        choose(
            TENSORFLOW,
            "AutoContrast Equalize Invert Rotate Posterize Solarize Color Contrast Brightness Sharpness ShearX ShearY "
            "TranslateX TranslateY Cutout SolarizeAdd",
        ),
        30,
        tensorflow_strengths(translate=100, cutout=40),
    ),
}


@register
@dataclass(frozen=True)
class RandAugment(DataTrick):
    """Parameters of RandAugment."""

    num_ops: int = bounded(2, least=1)
    """Operations drawn for each image."""
    magnitude: Strength = strength(7.0)
    """How strong they are: up to 10 in timm's spaces, 30 in the others."""
    magnitude_std: float = bounded(0.5, least=0)
    """Standard deviation of the magnitude around that, for each operation; cut to the space's range."""
    probability: float = bounded(0.5, above=0, most=1)
    """With which each operation acts."""
    space: SpaceName = SpaceName.timm_increasing
    """timm_increasing, timm, torchvision or efficientnetv2."""

    def check(self) -> None:
        top = SPACES[self.space].top
        require(
            (
                0 <= self.magnitude <= top,
                f"tricks.randaugment.magnitude of {self.space.value} lies between 0 and {top:g}, not {self.magnitude}",
            ),
        )

    def draw(self, rng: np.random.Generator, size: Size) -> list[Step]:
        """Draw the operations that one image of ``size`` (height, width) gets."""
        space = SPACES[self.space]
        names, steps = tuple(space.operations), []
        for _ in range(self.num_ops):
            name = names[rng.integers(len(names))]
            if rng.random() < self.probability:
                level = min(max(rng.normal(self.magnitude, self.magnitude_std), 0.0), space.top)
                steps.append((name, space.strengths(name, level, rng, size)))
        return steps

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return SPACES[self.space].apply(self.draw, image, rng)


def randaugment(image: Any, *, generator: Draws = None, **parameters: Any) -> np.ndarray:
    """Augment one image, a uint8 array (H, W, 3), PIL image or uint8 tensor (3, H, W): -> the array.

    Args:
        image: the image.
        generator: what is drawn from (`tricks._alone.Draws`).
        parameters: those of `RandAugment`. For many images make it once: ``RandAugment(...).augment(image, rng)``.
    """
    return RandAugment(**parameters).augment(as_image(image), generator_of(generator))
