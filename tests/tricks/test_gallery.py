"""The gallery has a row for every trick that changes pictures."""

import numpy as np
from PIL import Image

from tricks import load
from tricks.base import BatchTrick, DataTrick, hooks_of
from tricks.gallery import COLUMNS, SIDE, draw, rows


def test_every_trick_on_pictures_or_batches_is_shown():
    shown = {title: pictures for title, pictures, _ in rows()}
    own = shown.pop("as they are")
    for name, cls in load().items():
        works = issubclass(cls, BatchTrick) or (
            issubclass(cls, DataTrick) and ("augment" in hooks_of(cls()) or cls.on_device is not DataTrick.on_device)
        )
        assert (name in shown) == (works or name == "dropblock"), name
    for name, pictures in shown.items():
        assert pictures.shape == (COLUMNS, SIDE, SIDE, 3)
        assert not np.array_equal(pictures, own), name


def test_soft_labels_are_below_mixed_pictures():
    captions = {title: captions for title, _, captions in rows()}
    assert all(caption in ("temple 1.00", "flower 1.00") for caption in captions["as they are"])
    assert any("temple" in caption and "flower" in caption for caption in captions["mixup"])


def test_one_file(tmp_path):
    draw(tmp_path / "gallery.png")
    with Image.open(tmp_path / "gallery.png") as picture:
        assert picture.width == COLUMNS * SIDE
