"""The official preprocessing, against values of the official code, an independent simulation and limiting cases."""

import io

import numpy as np
import pytest
from PIL import Image

from assemble.data import sources
from assemble.data import tensorflow_crops as official
from assemble.data.decode import ImageFile
from assemble.data.tensorflow_crops import (
    central_crop,
    distorted_box,
    distorted_crop,
    sample_bilinear,
    sample_positions,
)
from assemble.errors import UserError
from assemble.schema import DataConfig, Preprocessing
from tests.helpers import official as reference_files

MEAN = np.array([123.68, 116.78, 103.94], np.float32)
SCALE, RATIO = (0.05, 1.0), (0.75, 1.33)
EVAL = np.load(reference_files.REFERENCE / "eval.npz")


def png(pixels: np.ndarray) -> ImageFile:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return ImageFile(file.getvalue())


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tf1_resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """TensorFlow 1's bilinear resize, pixel by pixel: neighbours at floor(i * scale) and the next, in float64."""
    height, width = pixels.shape[:2]
    result = np.empty((size, size, 3))
    for i in range(size):
        for j in range(size):
            y, x = i * height / size, j * width / size
            top, left = int(y), int(x)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            dy, dx = y - top, x - left
            above = (1 - dx) * pixels[top, left] + dx * pixels[top, right]
            result[i, j] = (1 - dy) * above + dy * ((1 - dx) * pixels[below, left] + dx * pixels[below, right])
    return result


@pytest.mark.parametrize("case", [key for key in EVAL if not key.endswith("image")])
def test_evaluation_equals_the_official_code(case):
    name, size, short = case.split("/")
    ours = central_crop(png(EVAL[f"{name}/image"]), size=int(size), short=int(short))
    assert ours.dtype == np.float32
    assert np.abs(ours[::8] - MEAN - EVAL[case]).max() < 1e-3


@pytest.mark.parametrize("seed", range(6))
def test_training_crop_is_a_box_mirrored_then_resized(seed):
    pixels = noise(41, 57)
    left, top, w, h = distorted_box(57, 41, SCALE, RATIO, np.random.default_rng(seed))
    crop = pixels[top : top + h, left : left + w].astype(float)
    for flip, source in ((0.0, crop), (1.0, crop[:, ::-1])):
        ours = distorted_crop(png(pixels), np.random.default_rng(seed), 24, scale=SCALE, ratio=RATIO, flip=flip)
        assert ours.dtype == np.uint8
        lower, upper = (np.floor(tf1_resize(source, 24) + e) for e in (-1e-3, 1e-3))  # fractions are cut off
        assert ((lower <= ours) & (ours <= upper)).all()


def test_flat_areas_keep_their_value():
    for value in (0, 1, 131, 254, 255):
        crop = distorted_crop(
            png(np.full((90, 70, 3), value, np.uint8)), np.random.default_rng(0), 64, scale=SCALE, ratio=RATIO, flip=0.5
        )
        assert (crop == value).all()


def test_a_resize_to_the_same_size_changes_nothing():
    pixels = noise(20, 31)
    assert np.array_equal(
        sample_bilinear(pixels, sample_positions(31, 31, 0, 31), sample_positions(20, 20, 0, 20)), pixels
    )


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (3, 2), (500, 7), (7, 500), (33, 33)])
@pytest.mark.parametrize("size", [1, 8, 33])
def test_images_of_any_shape_can_be_cropped(height, width, size):
    image = png(noise(height, width))
    for short in (size, size + 1, int(size / 0.875)):
        assert central_crop(image, size=size, short=short).shape == (size, size, 3)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert distorted_crop(image, rng, size, scale=SCALE, ratio=RATIO, flip=0.5).shape == (size, size, 3)


# The box


def boxes(width: int, height: int, n: int, scale=SCALE, ratio=RATIO) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array([distorted_box(width, height, scale, ratio, rng) for _ in range(n)])


@pytest.mark.parametrize(("width", "height"), [(3000, 2000), (900, 3000), (1500, 1500)])
def test_boxes_are_distributed_as_the_kernel_says(width, height):
    """Large images, so that rounding does not show: aspect uniform, then height uniform, thrown away below 10 %."""
    n = 6000
    left, top, w, h = boxes(width, height, n).T.astype(float)

    rng = np.random.default_rng(2)
    aspect = rng.uniform(*RATIO, 8 * n)
    area = width * height
    low = np.sqrt(SCALE[0] * area / aspect)
    high = np.minimum(np.sqrt(SCALE[1] * area / aspect), np.minimum(width / aspect, height))
    tall = rng.uniform(np.minimum(low, high), high)
    share = tall * tall * aspect / area
    kept = share >= 0.1
    expected = {
        "aspect": aspect[kept],
        "height": tall[kept],
        "share": share[kept],
        "top": (height - tall[kept]) * rng.random(kept.sum()),
        "left": (width - (tall * aspect)[kept]) * rng.random(kept.sum()),
    }
    ours = {"aspect": w / h, "height": h, "share": w * h / area, "top": top, "left": left}
    for name, values in ours.items():
        theirs = expected[name]
        error = np.sqrt(values.var() / len(values) + theirs.var() / len(theirs))
        assert abs(values.mean() - theirs.mean()) < 4 * error, name
        quantiles = [np.quantile(v, [0.05, 0.25, 0.5, 0.75, 0.95]) for v in (values, theirs)]
        assert np.abs(quantiles[0] - quantiles[1]).max() < 0.03 * np.ptp(theirs), name
    assert ours["share"].min() >= 0.1


def test_every_height_and_place_is_equally_likely_but_the_last_row_is_never_reached():
    """Square boxes in an image of 10x10: sides 4 (a tenth is 3.2 pixels, a fifth of 100 is 4.5) to 10."""
    found = boxes(10, 10, 21_000, scale=(0.05, 1.0), ratio=(1.0, 1.0))
    sides, counts = np.unique(found[:, 3], return_counts=True)
    assert sides.tolist() == list(range(4, 11))
    assert np.abs(counts - 3000).max() < 4 * np.sqrt(3000)
    for side in range(4, 10):
        for start in found[found[:, 3] == side, :2].T:
            assert set(start) == set(range(10 - side))  # up to 10 - side would fit
    assert (found[found[:, 3] == 10, :2] == 0).all()


def test_a_rounded_area_is_mended_by_one_row():
    """Half of 10x7 is 35: a side of 5.92 rounds to 6 and fits, but one of 5.39 (29 pixels) to 5, which does not."""
    assert set(boxes(10, 7, 50, scale=(0.5, 0.5), ratio=(1.0, 1.0))[:, 3]) == {7}  # 6 * 6 > 35 > 5 * 5: the whole
    assert {tuple(b[2:]) for b in boxes(10, 7, 50, scale=(29 / 70, 37 / 70), ratio=(1.0, 1.0))} == {(6, 6)}
    # Drawn: 4, 5, and 6, which becomes 5.
    sides = boxes(10, 7, 3000, scale=(14 / 70, 30.5 / 70), ratio=(1.0, 1.0))[:, 3]
    assert set(sides) == {4, 5}
    assert abs((sides == 5).mean() - 2 / 3) < 4 * np.sqrt(2 / 9 / 3000)


@pytest.mark.parametrize(("width", "height"), [(1000, 20), (20, 1000), (1, 1), (1, 30)])
def test_without_a_box_that_covers_a_tenth_the_whole_image_is_taken(width, height):
    whole = boxes(width, height, 20)
    assert (whole == (0, 0, width, height)).all()


# Configuration


def test_folders_use_it_where_the_configuration_says_so(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split / "a").mkdir(parents=True)
        Image.fromarray(noise(40, 50)).save(tmp_path / split / "a" / "0.png")
    cfg = DataConfig(
        name="imagefolder", root=str(tmp_path), preprocessing=Preprocessing.official, image_size=16, eval_size=20
    )
    source = sources.open_source(cfg)
    image = ImageFile.read(tmp_path / "val" / "a" / "0.png")
    assert np.array_equal(source.val.load(0, source.eval_crop), central_crop(image, size=20, short=22))
    cfg.eval_resize = 21
    source = sources.open_source(cfg)
    assert np.array_equal(source.val.load(0, source.eval_crop), central_crop(image, size=20, short=21))
    ours = source.train.load(0, lambda p: source.train_crop(p, np.random.default_rng(3), 12))
    theirs = distorted_crop(
        image, np.random.default_rng(3), 12, scale=cfg.crop_scale, ratio=cfg.crop_ratio, flip=cfg.flip
    )
    assert np.array_equal(ours, theirs)


def test_an_opencv_that_interpolates_coarsely_is_refused(monkeypatch):
    import cv2

    monkeypatch.setattr(cv2, "__version__", "4.12.0")
    official.opencv.cache_clear()
    try:
        with pytest.raises(UserError, match=r"OpenCV 4\.12\.0 interpolates too coarsely"):
            official.opencv()
    finally:
        official.opencv.cache_clear()
