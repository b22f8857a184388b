"""Color jitter against torchvision's operations and the definition of the light's components."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as TF

from assemble.errors import UserError
from assemble.planning.plan import make_plan
from tests.helpers import teachers
from tricks import create
from tricks.color_jitter import COMPONENTS, DEVIATIONS, ColorJitter, light

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("brightness", TF.adjust_brightness),
        ("contrast", TF.adjust_contrast),
        ("saturation", TF.adjust_saturation),
    ],
)
def test_each_factor_is_torchvisions_and_between_its_bounds(name, operation):
    trick = ColorJitter(**dict.fromkeys(("brightness", "contrast", "saturation", "pca_noise"), 0.0) | {name: 0.4})
    factors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rng.permutation(3)
        factors.append(rng.uniform(0.6, 1.4))
        expected = np.asarray(operation(Image.fromarray(IMAGE), factors[-1]))
        np.testing.assert_array_equal(trick.augment(IMAGE, np.random.default_rng(seed)), expected)
    assert min(factors) < 0.7 < 1.3 < max(factors)


def test_the_order_of_the_three_is_random():
    trick = ColorJitter(pca_noise=0.0)
    orders = {tuple(np.random.default_rng(seed).permutation(3)) for seed in range(40)}
    assert len(orders) == 6
    seed = next(s for s in range(40) if tuple(np.random.default_rng(s).permutation(3)) == (2, 0, 1))
    rng = np.random.default_rng(seed)
    rng.permutation(3)
    image = Image.fromarray(IMAGE)
    for operation in (TF.adjust_saturation, TF.adjust_brightness, TF.adjust_contrast):
        image = operation(image, rng.uniform(0.6, 1.4))
    np.testing.assert_array_equal(trick.augment(IMAGE, np.random.default_rng(seed)), np.asarray(image))


def test_light_moves_every_pixel_alike():
    grey = np.full((4, 4, 3), 128, np.uint8)
    amounts = np.array([0.5, -1.0, 2.0])
    shift = [sum(COMPONENTS[c, k] * DEVIATIONS[k] * amounts[k] for k in range(3)) for c in range(3)]
    np.testing.assert_array_equal(light(grey, amounts), np.broadcast_to(np.rint(128 + np.array(shift)), (4, 4, 3)))
    assert (light(grey, np.array([-9.0, 0, 0])) == 255).all(), "cut at white"
    np.testing.assert_array_equal(light(IMAGE, np.zeros(3)), IMAGE)


def test_the_components_are_perpendicular_and_of_length_one():
    np.testing.assert_allclose(COMPONENTS.T @ COMPONENTS, np.eye(3), atol=1e-3)


@pytest.mark.parametrize(("name", "value"), [("brightness", 1.5), ("contrast", -0.1), ("pca_noise", -1.0)])
def test_out_of_range(name, value):
    with pytest.raises(UserError, match=rf"tricks\.color_jitter\.{name}"):
        ColorJitter(**{name: value})


def test_all_off_is_refused():
    off = dict.fromkeys(("brightness", "contrast", "saturation", "pca_noise"), 0.0)
    with pytest.raises(UserError, match="changes nothing"):
        make_plan(teachers.small(), create({"color_jitter": off}))
