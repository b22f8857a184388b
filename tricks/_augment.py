"""What the tricks of the AutoAugment family share: which operations there are, and how strong each is at a level.

An operation's name and strengths make a step of `assemble.data.image_ops`. All that is random in a step is drawn here,
from the image's own generator. Sizes are (height, width) of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from assemble.data.image_ops import Op, as_image

Strengths = tuple[Any, ...]
Step = tuple[str, Strengths]
Size = tuple[int, int]


@dataclass(frozen=True)
class Space:
    """Operations by name, and their strengths at levels from 0 to ``top``."""

    operations: Mapping[str, Op]
    top: int
    strengths: Callable[[str, float, np.random.Generator, Size], Strengths]
    """(name, level, rng, size of the image) -> what the operation takes."""

    def apply(
        self, draw: Callable[[np.random.Generator, Size], Iterable[Step]], image: Any, rng: np.random.Generator
    ) -> np.ndarray:
        """Apply the steps that are drawn for an image.

        The image is a uint8 array (H, W, 3), PIL image or uint8 tensor (3, H, W).
        """
        array = as_image(image)
        for name, strengths in draw(rng, array.shape[:2]):
            array = self.operations[name](array, *strengths)
        return array


def choose(operations: Mapping[str, Op], names: str) -> dict[str, Op]:
    """Choose some of the operations, in that order."""
    return {name: operations[name] for name in names.split()}


def either_sign(value: float, rng: np.random.Generator) -> float:
    """Return the value or, as likely, its negative."""
    return value if rng.random() < 0.5 else -value


def tensorflow_strengths(translate: float, cutout: float) -> Callable[..., Strengths]:
    """Return the strengths of EfficientNet's and Assemble-ResNet's code.

    At level 10 they are the strongest (0.1 to 1.9 for colours).

    Colours have no sign: level 5 changes nothing. Posterize and Solarize are weaker at higher levels.

    Args:
        translate: pixels at level 10.
        cutout: half the side of the square at level 10, in pixels.
    """

    def strengths(name: str, level: float, rng: np.random.Generator, size: Size) -> Strengths:
        share = level / 10
        match name:
            case "Rotate":
                return (either_sign(share * 30, rng),)
            case "ShearX" | "ShearY":
                return (either_sign(share * 0.3, rng),)
            case "TranslateX" | "TranslateY":
                return (either_sign(share * translate, rng),)
            case "Color" | "Contrast" | "Brightness" | "Sharpness":
                return (share * 1.8 + 0.1,)
            case "Posterize":  # shifts by 8 - bits as a uint8, cut at 7 by TensorFlow: 0 bits, or 9 and more, are 1
                bits = int(share * 4)
                return (bits if 1 <= bits <= 8 else 1,)
            case "Solarize":  # the threshold becomes a uint8 there: 256 is 0, which inverts everything
                return (int(share * 256) % 256,)
            case "SolarizeAdd":
                return (int(share * 110),)
            case "Cutout":
                return (int(share * cutout), rng.random(), rng.random())
            case _:
                return ()

    return strengths


@cache
def _linspace(start: float, end: float, bins: int) -> np.ndarray:
    return torch.linspace(start, end, bins).numpy()  # in float32: a number that is 1e-8 off shows in some pixels


def pillow_strengths(
    top: int,
    *,
    rotate: float,
    shear: float,
    translate: Callable[[int], float],
    colour: float,
    posterize: int,
    how: Strengths = (),
) -> Callable[..., Strengths]:
    """Return the strengths of torchvision's code, where level 0 is no change (but Solarize inverts 255).

    Args:
        top: the level of the strongest. Levels between whole ones are interpolated.
        rotate: degrees.
        shear: pixels for each pixel of the other side.
        translate: pixels, given the image's side in that direction.
        colour: added to or taken from the factor 1.
        posterize: bits dropped.
        how: what rotation, shear and translation take behind their strength (`assemble.data.image_ops.PILLOW`).
    """

    def between(start: float, end: float, level: float) -> float:
        return float(np.interp(level, range(top + 1), _linspace(start, end, top + 1)))

    def strengths(name: str, level: float, rng: np.random.Generator, size: Size) -> Strengths:
        match name:
            case "Rotate":
                return (either_sign(between(0, rotate, level), rng), *how)
            case "ShearX" | "ShearY":
                return (either_sign(between(0, shear, level), rng), *how)
            case "TranslateX" | "TranslateY":
                side = size[1] if name == "TranslateX" else size[0]
                return (either_sign(int(between(0, translate(side), level)), rng), *how)
            case "Color" | "Contrast" | "Brightness" | "Sharpness":
                return (1 + either_sign(between(0, colour, level), rng),)
            case "Posterize":
                return (8 - round(posterize * level / top),)
            case "Solarize":
                return (between(255, 0, level),)
            case _:
                return ()

    return strengths


def paper_strengths(top: int) -> Callable[..., Strengths]:
    """Return AutoAugment's ranges.

    Its 150 pixels belonged to images of 331.
    """
    return pillow_strengths(top, rotate=30, shear=0.3, translate=lambda side: 150 / 331 * side, colour=0.9, posterize=4)
