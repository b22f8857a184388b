"""`corrupt` on any image: shapes, grey, views, generators, mistakes."""

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from assemble.errors import UserError
from assemble.robustness.corruptions import SEVERITIES, corrupt, corruption_rng
from assemble.robustness.corruptions.constants import PRESETS
from tests.helpers import official
from tests.helpers.photographs import ALL, CHINA, FLOWER, NOISE, apart, photograph

ROOT = official.REFERENCE.parents[1]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "shape", [(28, 28), (28, 28, 3), (32, 50, 3), (97, 64), (256, 256, 3), (512, 512), (400, 512, 3)]
)
def test_shapes(shape, preset):
    x = np.concatenate([CHINA, FLOWER])[100:, 100:][: shape[0], : shape[1]]
    x = x if len(shape) == 3 else x[..., 1]
    before = x.copy()
    for name in ALL:
        for severity in (1, 5) if min(shape[:2]) < 100 else (5,):
            result = corrupt(x, name, severity, corruption_rng(0, 0, name, severity), preset=preset)
            assert result.shape == shape
            assert result.dtype == np.uint8
            assert result.std() > 0
    assert np.array_equal(x, before)


@pytest.mark.parametrize(
    "name", [n for n in ALL if not n.endswith("noise") and n not in ("saturate", "jpeg_compression")]
)
def test_a_grey_image_is_one_of_three_equal_channels(name):
    """Where colour plays no part: noise is drawn for each channel, JPEG and saturation know colour."""
    grey = photograph(64)[..., 1]
    for severity in SEVERITIES:
        result = corrupt(grey, name, severity, np.random.default_rng(0), textures=NOISE)
        colour = corrupt(np.stack([grey] * 3, 2), name, severity, np.random.default_rng(0), textures=NOISE)
        luma = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
        assert apart(result, luma)[colour.max(2) < 255].max() <= 1  # what is cut off is so before grey is made


def test_saturation_leaves_grey_images():
    grey = photograph(64)[..., 1]
    assert np.array_equal(corrupt(grey, "saturate", 5, np.random.default_rng(0)), grey)


def test_views_of_any_strides():
    x = photograph(64)
    for view in (x[::-1], x[:, ::-1], x.transpose(1, 0, 2), np.asfortranarray(x)):
        for name in ALL:
            a = corrupt(view, name, 3, np.random.default_rng(0))
            assert np.array_equal(a, corrupt(np.ascontiguousarray(view), name, 3, np.random.default_rng(0)))


@pytest.mark.process
def test_the_same_generator_gives_the_same_image_in_any_process_and_order():
    x = photograph(64)
    state = np.random.get_state()[1].copy()
    first = {name: corrupt(x, name, 2, corruption_rng(7, 3, name, 2)) for name in ALL}
    assert all(np.array_equal(first[n], corrupt(x, n, 2, corruption_rng(7, 3, n, 2))) for n in reversed(ALL))
    assert np.array_equal(np.random.get_state()[1], state)
    code = "from assemble.robustness.corruptions import corruption_rng as r; print(r(7, 3, 'fog', 2).integers(1 << 40))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(other.stdout) == corruption_rng(7, 3, "fog", 2).integers(1 << 40)


def test_every_seed_image_corruption_and_severity_has_its_generator():
    keys = [(0, 0, "fog", 1), (1, 0, "fog", 1), (0, 1, "fog", 1), (0, 0, "snow", 1), (0, 0, "fog", 2)]
    assert len({int(corruption_rng(*key).integers(1 << 60)) for key in keys}) == len(keys)


def test_jpeg_round_trip_is_asked_for():
    x = photograph(64)
    plain = corrupt(x, "fog", 3, np.random.default_rng(0))
    file = io.BytesIO()
    Image.fromarray(plain).save(file, "JPEG", quality=85, optimize=True)
    assert np.array_equal(corrupt(x, "fog", 3, np.random.default_rng(0), jpeg=True), np.asarray(Image.open(file)))


# --- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "fogg"}, "unknown corruption 'fogg'. Did you mean 'fog'"),
        ({"severity": 0}, "severity 0 of fog: it is a whole number from 1 to 5"),
        ({"severity": "3"}, "severity '3' of fog"),
        ({"severity": 2.5}, "severity 2.5 of fog"),
        ({"preset": "cifar10"}, "unknown preset of corruptions 'cifar10'. Did you mean 'cifar'"),
        ({"image": np.zeros((27, 64, 3), np.uint8)}, "at least 28 pixels"),
        ({"image": np.zeros((64, 64, 4), np.uint8)}, r"uint8 array \(H, W, 3\) or \(H, W\), not uint8 \(64, 64, 4\)"),
        ({"image": np.zeros((64, 64, 3))}, "not float64"),
        ({"image": [[1]]}, "not list"),
    ],
)
def test_mistakes_get_one_line(arguments, message):
    given = {"image": photograph(64), "name": "fog", "severity": 1, "rng": np.random.default_rng(0)} | arguments
    with pytest.raises(UserError, match=message) as caught:
        corrupt(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.process
def test_names_are_known_without_heavy_libraries():
    code = "import assemble.robustness.corruptions, sys; print({'numpy', 'cv2', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
