"""The image operations: TensorFlow's against what that code gave, Pillow's against torchvision and timm."""

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling
from torchvision.transforms import InterpolationMode, autoaugment

from assemble.data.image_ops import PILLOW, TENSORFLOW, as_image, cutout
from tricks._augment import paper_strengths, tensorflow_strengths
from tricks.randaugment import MEAN, timm_strengths
from tricks.trivialaugment import Sampling, wide

REFERENCE = Path(__file__).parents[1] / "reference"
SMALL = np.array(Image.open(REFERENCE / "image_ops.png"))
LARGE = np.ascontiguousarray(np.tile(SMALL, (5, 4, 1))[:224, :224])
DIGESTS = json.loads((REFERENCE / "image_ops.json").read_text())
FLAT = np.full((20, 30, 3), (9, 128, 255), np.uint8)
ODD = np.random.default_rng(0).integers(0, 256, (57, 331, 3), dtype=np.uint8)


class Always:
    """A generator that draws one number: below 0.5 the positive sign."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


def sign(negative: bool) -> Always:
    return Always(0.9 if negative else 0.1)


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


# --- TensorFlow


@pytest.mark.parametrize("case", DIGESTS["small"])
def test_official_operations_equal_the_official_code_on_every_pixel(case):
    check_official(SMALL, case, DIGESTS["small"][case], translate=12.5)


@pytest.mark.parametrize("case", DIGESTS["large"])
def test_official_operations_at_every_level_on_a_image_of_224(case):
    check_official(LARGE, case, DIGESTS["large"][case], translate=250)


def check_official(image: np.ndarray, case: str, expected: str, translate: float) -> None:
    name, _, level = case.partition("/")
    strengths = tensorflow_strengths(translate=translate, cutout=100)
    before = image.copy()
    after = TENSORFLOW[name](
        image, *strengths(name, abs(float(level or 0)), sign(level.startswith("-")), image.shape[:2])
    )
    assert digest(after) == expected
    assert np.array_equal(image, before), "the given image was changed"


def test_the_reference_has_every_operation_but_the_random_one():
    names = {case.partition("/")[0] for case in DIGESTS["large"]}
    assert names == set(TENSORFLOW) - {"Identity", "Cutout"}


@pytest.mark.parametrize(
    ("level", "bits"), [(0, 1), (2.4, 1), (5, 2), (7.5, 3), (17.5, 7), (20, 8), (22.4, 8), (22.5, 1), (25, 1), (30, 1)]
)
def test_posterize_shifts_by_a_byte(level, bits):
    """``posterize`` of efficientnetv2/autoaugment.py: 8 - bits is a uint8 (-1: 255), TensorFlow shifts by 7 at most."""
    shift = min((8 - int(level / 10 * 4)) % 256, 7)
    (ours,) = tensorflow_strengths(translate=100, cutout=40)("Posterize", level, Always(0), (57, 331))
    assert ours == bits
    assert np.array_equal(TENSORFLOW["Posterize"](ODD, ours), ODD >> shift << shift)


# --- Pillow


@pytest.mark.parametrize("image", [SMALL, LARGE, ODD, FLAT], ids=["small", "large", "odd", "flat"])
@pytest.mark.parametrize(
    ("space", "how"),
    [("autoaugment", "nearest"), ("randaugment", "nearest"), *(("trivialaugment", s.value) for s in Sampling)],
)
def test_pillow_operations_equal_torchvision_at_every_level(space, how, image):
    size = image.shape[:2]
    theirs, strengths = {
        "autoaugment": (autoaugment.AutoAugment()._augmentation_space(10, size), paper_strengths(9)),
        "randaugment": (autoaugment.RandAugment()._augmentation_space(31, size), paper_strengths(30)),
        "trivialaugment": (autoaugment.TrivialAugmentWide()._augmentation_space(31), wide(Sampling(how)).strengths),
    }[space]
    for name, (magnitudes, signed) in theirs.items():
        for level, magnitude in enumerate(magnitudes.reshape(-1).tolist()):
            for negative in (False, True) if signed else (False,):
                expected = autoaugment._apply_op(
                    Image.fromarray(image),
                    name,
                    -magnitude if negative else magnitude,
                    InterpolationMode(how),
                    None,
                )
                # They move the image by that many pixels, ours says where a pixel comes from.
                ours = strengths(name, level, sign(negative != name.startswith("Translate")), size)
                assert np.array_equal(PILLOW[name](image, *ours), np.asarray(expected)), (name, level, negative)


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("negative", [True, False])
def test_pillow_operations_equal_timm(monkeypatch, increasing, negative):
    from timm.data import auto_augment

    monkeypatch.setattr(random, "random", lambda: 0.9 if negative else 0.1)
    hparams = {"img_mean": MEAN, "interpolation": Resampling.BICUBIC if negative else Resampling.BILINEAR}
    names = auto_augment._RAND_INCREASING_TRANSFORMS if increasing else auto_augment._RAND_TRANSFORMS
    strengths = timm_strengths(increasing)
    for theirs in names:
        name = theirs.removesuffix("Increasing").removesuffix("Rel")
        for magnitude in (0.0, 0.3, 2.5, 5.0, 7.0, 7.4, 9.99, 10.0):
            ours = strengths(name, magnitude, sign(negative), LARGE.shape[:2])
            after = PILLOW[name](LARGE, *ours)
            if name == "Posterize" and ours == (0,):  # Pillow 13 refuses, those before gave black
                assert not after.any()
                continue
            op = auto_augment.AugmentOp(theirs, prob=1.0, magnitude=magnitude, hparams=hparams)
            assert np.array_equal(after, np.asarray(op(Image.fromarray(LARGE)))), (name, magnitude)


# --- limiting cases


@pytest.mark.parametrize("operations", [TENSORFLOW, PILLOW], ids=["tensorflow", "pil"])
@pytest.mark.parametrize(
    ("name", "neutral"),
    [
        ("Identity", ()),
        ("Rotate", (0.0,)),
        ("ShearX", (0.0,)),
        ("ShearY", (0.0,)),
        ("TranslateX", (0.0,)),
        ("TranslateY", (0.0,)),
        ("Color", (1.0,)),
        ("Contrast", (1.0,)),
        ("Brightness", (1.0,)),
        ("Sharpness", (1.0,)),
        ("Posterize", (8,)),
        ("Solarize", (256,)),
        ("SolarizeAdd", (0,)),
        ("Cutout", (0, 0.5, 0.5)),
    ],
)
def test_a_strength_of_nothing_is_the_identity(operations, name, neutral):
    assert np.array_equal(operations[name](ODD, *neutral), ODD)


@pytest.mark.parametrize("operations", [TENSORFLOW, PILLOW], ids=["tensorflow", "pil"])
@pytest.mark.parametrize("name", ["AutoContrast", "Equalize"])
def test_one_value_has_no_contrast_to_stretch(operations, name):
    assert np.array_equal(operations[name](FLAT), FLAT)


def test_inverting_twice_is_the_identity():
    assert np.array_equal(TENSORFLOW["Invert"](TENSORFLOW["Invert"](ODD)), ODD)


@pytest.mark.parametrize(
    ("down", "right", "rows", "columns"),
    [
        (0.5, 0.5, range(5, 15), range(10, 20)),
        (0.0, 0.0, range(5), range(5)),
        (0.99, 0.99, range(14, 20), range(24, 30)),
    ],
)
def test_cutout_is_a_square_around_a_pixel_cut_at_the_border(down, right, rows, columns):
    given, expected = FLAT.copy(), FLAT.copy()
    expected[rows.start : rows.stop, columns.start : columns.stop] = 128
    assert np.array_equal(cutout(given, 5, down, right), expected)
    assert np.array_equal(given, FLAT), "the given image was changed"


def test_images_of_other_kinds_are_taken_too():
    tensor = torch.from_numpy(ODD).permute(2, 0, 1)
    for image in (ODD, Image.fromarray(ODD), tensor):
        assert np.array_equal(as_image(image), ODD)
    flipped = as_image(ODD[:, ::-1])
    assert flipped.flags.c_contiguous
    assert np.array_equal(flipped[:, ::-1], ODD)
