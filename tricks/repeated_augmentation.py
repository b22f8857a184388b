"""Repeated augmentation: each image comes several times in a batch, augmented anew each time.

Paper: Hoffer et al. 2019 (arXiv 1901.09335); Berman et al. 2019 (MultiGrain, arXiv 1902.05509), with 3 repeats in a
batch of unchanged size; 3 in DeiT and in ResNet strikes back (arXiv 2110.00476), 4 in torchvision's recipe.
Changes: the order of the training images: each of an epoch's permutation ``num_repeats`` times in a row, dealt to the
devices in turn, so that its versions meet in one optimizer step but on different devices.
Differs: Hoffer et al. enlarge the batch. Here, as in DeiT, batch and epoch keep their length, and an epoch sees one
``num_repeats``-th of the images. DeiT cuts the epoch to a multiple of 256 images, here it is whole batches. Where
the batch is no multiple of ``num_repeats``, the last image of a batch goes on in the next. With mixup type1, two
images that are partners are so in all their repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

from assemble.bounds import bounded
from tricks.base import DataTrick, register


@register
@dataclass(frozen=True)
class RepeatedAugmentation(DataTrick):
    """Parameters of repeated augmentation."""

    num_repeats: int = bounded(3, least=2)
    """Appearances of an image."""

    @property
    def repeats(self) -> int:
        return self.num_repeats
