"""AutoAugment: each image gets one of a list of pairs of operations, found by search.

Paper: Cubuk et al. 2018 (arXiv 1805.09501); in arXiv 2001.06268 the policy ``imagenet``: +0.09 top-1, mCE 54.12 to
48.89 (Table 7, E11), and ``good`` for fine-tuning.
Changes: single images, after crop and flip: a sub-policy is drawn evenly, each of its operations acts with its own
probability; rotation, shear and translation go either way.
Differs: ``strengths: official``, the default, follows the code of Assemble-ResNet and EfficientNet to the pixel, not
the paper: Posterize keeps int(0.4 level) bits, 1 to 4, where the paper has 4 to 8; Contrast blends with an even grey of
(pixels / 256), not with the mean; colours go one way; Solarize is weaker at higher levels and at 10 inverts everything;
space left empty is grey. ``strengths: paper`` has the paper's ranges at levels 0 to 9 as torchvision reads them, with
Pillow's operations: space left empty is black. Cutout, which torchvision lacks, is there a square of up to 60 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from assemble.data.image_ops import PILLOW, TENSORFLOW, as_image
from assemble.errors import UserError, require
from assemble.suggest import suggest
from assemble.yaml_files import read_yaml
from tricks._alone import Draws, generator_of
from tricks._augment import Size, Space, Step, Strengths, choose, paper_strengths, tensorflow_strengths
from tricks._policies import POLICIES, Policy
from tricks.base import DataTrick, register

OPERATIONS = (
    "ShearX ShearY TranslateX TranslateY Rotate Color Contrast Brightness Sharpness Posterize Solarize AutoContrast "
    "Equalize Invert Cutout"
)


class Reading(Enum):
    """Whose strengths."""

    official = "official"
    paper = "paper"


PAPER = paper_strengths(9)


def _with_cutout(name: str, level: float, rng: np.random.Generator, size: Size) -> Strengths:
    """Return the paper's strengths: those of torchvision and Cutout."""
    if name == "Cutout":
        return (round(level / 9 * 30), rng.random(), rng.random())
    return PAPER(name, level, rng, size)


SPACES: dict[Reading, Space] = {
    Reading.official: Space(
        choose(TENSORFLOW, OPERATIONS + " SolarizeAdd"), 10, tensorflow_strengths(translate=250, cutout=100)
    ),
    Reading.paper: Space(choose(PILLOW, OPERATIONS), 9, _with_cutout),
}


def read_policy(source: Any) -> Policy:
    """Read a policy from its name, a YAML file's path, or nested lists of ``[operation, probability, level]``.

    Raises:
        UserError: unknown name, missing or unreadable file, another form.
    """
    if isinstance(source, str) and Path(source).suffix in {".yaml", ".yml"}:
        try:
            source = read_yaml(Path(source))
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"tricks.autoaugment.policy={source} cannot be read: {reason}") from error
    elif isinstance(source, str):
        if source not in POLICIES:
            raise UserError(suggest("tricks.autoaugment.policy", source, [*POLICIES, "FILE.yaml"]))
        return POLICIES[source]
    try:
        policy = tuple(
            tuple((str(name), float(probability), float(level)) for name, probability, level in sub_policy)
            for sub_policy in source
        )
    except (TypeError, ValueError):
        policy = ()
    if not policy or not all(policy):
        raise UserError(
            "tricks.autoaugment.policy must be a list of sub-policies, each a list of [operation, probability, level], "
            "such as [[[Posterize, 0.4, 8], [Rotate, 0.6, 9]]]"
        )
    return policy


@register
@dataclass(frozen=True)
class AutoAugment(DataTrick):
    """Parameters of AutoAugment."""

    policy: Any = "imagenet"
    """imagenet, cifar10, svhn, v0 (EfficientNet's), good (for fine-tuning), FILE.yaml, or a list of sub-policies."""
    strengths: Reading = Reading.official
    """official or paper (see above)."""

    def check(self) -> None:
        known, top = self.space.operations, self.space.top
        for name, probability, level in (operation for sub_policy in self.sub_policies for operation in sub_policy):
            where = f"tricks.autoaugment.policy: {name}"
            require(
                (
                    name in known,
                    suggest(f"operation of autoaugment with {self.strengths.value} strengths", name, known),
                ),
                (0 <= probability <= 1, f"{where} has the probability {probability:g}: choose it between 0 and 1"),
                (0 <= level <= top, f"{where} has level {level:g}: {self.strengths.value} levels are 0 to {top:g}"),
            )

    @property
    def space(self) -> Space:
        """The operations and what a level means."""
        return SPACES[self.strengths]

    @cached_property
    def sub_policies(self) -> Policy:
        """What ``policy`` stands for."""
        return read_policy(self.policy)

    def draw(self, rng: np.random.Generator, size: Size) -> list[Step]:
        """Draw the operations that one image of ``size`` (height, width) gets."""
        policy = self.sub_policies
        sub_policy = policy[int(rng.random() * len(policy))]  # `rng.integers` takes four times as long
        return [
            (name, self.space.strengths(name, level, rng, size))
            for name, probability, level in sub_policy
            if rng.random() < probability
        ]

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.space.apply(self.draw, image, rng)


def autoaugment(image: Any, *, generator: Draws = None, **parameters: Any) -> np.ndarray:
    """Augment one image, a uint8 array (H, W, 3), PIL image or uint8 tensor (3, H, W): -> the array.

    Args:
        image: the image.
        generator: what is drawn from (`tricks._alone.Draws`).
        parameters: those of `AutoAugment`. For many images make it once: ``AutoAugment(...).augment(image, rng)``.
    """
    return AutoAugment(**parameters).augment(as_image(image), generator_of(generator))
