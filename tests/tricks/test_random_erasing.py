"""Random erasing against timm's distribution and limiting cases."""

import math
import random

import numpy as np
import pytest
import torch

from tricks.random_erasing import RandomErasing, draw_rectangle

AREA, ASPECT = (0.02, 0.33), (0.3, 3.3)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def boxes_of(erased: torch.Tensor) -> np.ndarray:
    """(top, left, height, width) of the zeros in images of ones (N, 3, H, W); images without are left out."""
    found = []
    for image in erased:
        rows, columns = (image[0] == 0).nonzero(as_tuple=True)
        if len(rows):
            top, left = int(rows.min()), int(columns.min())
            h, w = int(rows.max()) - top + 1, int(columns.max()) - left + 1
            assert len(rows) == h * w, "a full rectangle"
            found.append((top, left, h, w))
    return np.array(found, float)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (30, 50)])
def test_rectangles_are_distributed_as_timms(height, width):
    from timm.data.random_erasing import RandomErasing as Timm

    n = 4000
    g = rng()
    ours = [draw_rectangle(height, width, AREA, ASPECT, g) for _ in range(n)]
    ours = np.array([(b[0], b[2], b[1] - b[0], b[3] - b[2]) for b in ours if b], float)
    random.seed(0)
    timm = Timm(1.0, *AREA, *ASPECT, device="cpu")
    theirs = boxes_of(timm(torch.ones(n, 1, height, width)))
    assert abs(len(ours) - len(theirs)) < 20
    columns = [*zip(ours.T, theirs.T, strict=True)]
    columns += [(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3])]
    columns += [(np.log(ours[:, 2] / ours[:, 3]), np.log(theirs[:, 2] / theirs[:, 3]))]
    for a, b in columns:
        assert abs(a.mean() - b.mean()) < 4 * math.sqrt((a.var() + b.var()) / n)
        assert abs(a.std() / b.std() - 1) < 0.05
        assert np.abs(np.quantile(a, [0.1, 0.5, 0.9]) - np.quantile(b, [0.1, 0.5, 0.9])).max() < 0.06 * np.ptp(b) + 1


def test_rectangles_stay_inside_and_reach_the_border():
    g = rng()
    boxes = np.array([draw_rectangle(12, 9, AREA, ASPECT, g) for _ in range(2000)])
    assert boxes[:, [0, 2]].min() == 0
    assert boxes[:, 1].max() == 12
    assert boxes[:, 3].max() == 9


def test_a_rectangle_of_one_shape_by_hand():
    """A quarter of 20 x 20 pixels, twice as high as wide: 14 x 7."""
    top, bottom, left, right = draw_rectangle(20, 20, (0.25, 0.25), (2.0, 2.0), rng()) or (0, 0, 0, 0)
    assert (bottom - top, right - left) == (14, 7)


def test_what_never_fits_is_not_erased():
    """A rectangle is lower and narrower than the image: here are 20 x 20, 20 x 10 and 10 x 20 pixels."""
    for area, aspect in ((1.0, 1.0), (0.5, 2.0), (0.5, 0.5)):
        assert draw_rectangle(20, 20, (area, area), (aspect, aspect), rng()) is None
    images = torch.ones(4, 3, 20, 20)
    assert torch.equal(
        RandomErasing(probability=1.0, area=(1.0, 1.0), aspect=(1.0, 1.0)).on_device(images, rng()), images
    )


def test_images_are_erased_each_on_its_own_with_the_probability():
    images = torch.ones(2000, 3, 8, 8)
    erased = RandomErasing(probability=0.25).on_device(images, rng())
    assert images.all(), "the given tensor stays"
    touched = (erased == 0).flatten(1).any(1)
    assert abs(int(touched.sum()) - 500) < 5 * math.sqrt(2000 * 0.25 * 0.75)
    assert len({tuple(box) for box in boxes_of(erased[:200])}) > 20
    assert (erased == erased[:, :1]).all(), "all channels"


def test_limits_of_the_probability():
    images = torch.ones(300, 3, 8, 8)
    everything = RandomErasing(probability=1.0).on_device(images, rng())
    assert (everything == 0).flatten(1).any(1).all()
    ramp = RandomErasing(probability={"from": 0, "to": 1}).at(0.0)  # type: ignore[arg-type]
    assert torch.equal(ramp.on_device(images, rng()), images)


def test_fillings():
    images = torch.full((400, 3, 16, 16), 9.0)
    outside = None
    for mode in ("const", "rand", "pixel"):
        filled = RandomErasing(probability=1.0, mode=mode).on_device(images, rng(1))  # type: ignore[arg-type]
        inside = filled != 9.0
        assert outside is None or torch.equal(inside, outside), "the same rectangles in each mode"
        outside = inside
        values = filled[inside]
        if mode == "const":
            assert not values.any()
            continue
        assert abs(float(values.mean())) < 0.2
        assert abs(float(values.std()) - 1) < 0.1
        colours = [len(image[:, i[0]].reshape(3, -1).unique(dim=1)[0]) for image, i in zip(filled, inside, strict=True)]
        pixels = [int(i[0].sum()) for i in inside]
        assert colours == ([1] * 400 if mode == "rand" else pixels)


def test_everything_follows_from_the_given_generator():
    images = torch.ones(20, 3, 16, 16)
    trick = RandomErasing(probability=0.5, mode="pixel")  # type: ignore[arg-type]
    torch.manual_seed(1)
    first = trick.on_device(images, rng(3))
    torch.manual_seed(2)
    assert torch.equal(trick.on_device(images, rng(3)), first)
    assert not torch.equal(trick.on_device(images, rng(4)), first)


def test_channels_last_stays():
    images = torch.ones(4, 3, 16, 16).to(memory_format=torch.channels_last)
    assert RandomErasing(probability=1.0).on_device(images, rng()).is_contiguous(memory_format=torch.channels_last)
