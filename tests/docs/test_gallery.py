"""The gallery has a row for every trick that changes images."""

import numpy as np
from PIL import Image

from docs.gallery import COLUMNS, SIDE, draw, rows
from tricks import load
from tricks.base import BatchTrick, DataTrick, hooks_of


def test_every_trick_on_images_or_batches_is_shown():
    shown = {title: images for title, images, _ in rows()}
    own = shown.pop("as they are")
    for name, cls in load().items():
        works = issubclass(cls, BatchTrick) or (
            issubclass(cls, DataTrick)
            and (
                "augment" in hooks_of(cls())
                or cls.finish is not DataTrick.finish
                or cls.on_device is not DataTrick.on_device
            )
        )
        assert (name in shown) == (works or name == "dropblock"), name
    for name, images in shown.items():
        assert images.shape == (COLUMNS, SIDE, SIDE, 3)
        assert not np.array_equal(images, own), name


def test_soft_labels_are_below_mixed_images():
    captions = {title: captions for title, _, captions in rows()}
    assert all(caption in ("temple 1.00", "flower 1.00") for caption in captions["as they are"])
    assert any("temple" in caption and "flower" in caption for caption in captions["mixup"])


def test_one_file(tmp_path):
    draw(tmp_path / "gallery.png")
    with Image.open(tmp_path / "gallery.png") as image:
        assert image.width == COLUMNS * SIDE
