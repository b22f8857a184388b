"""TrivialAugment: what is drawn. The operations at all 31 strengths: test_image_ops.py."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode, autoaugment

from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.planning.resolve import resolve
from tests.helpers.draws import DRAWS, rate_is
from tricks import create
from tricks.trivialaugment import Sampling, TrivialAugment, wide

WIDE = wide(Sampling.nearest)
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)


def test_one_operation_is_drawn_evenly():
    rng, trick = np.random.default_rng(1), TrivialAugment()
    steps = [trick.draw(rng, (224, 224)) for _ in range(DRAWS)]
    assert all(len(one) == 1 for one in steps)
    counts = Counter(one[0][0] for one in steps)
    assert list(WIDE.operations) == list(autoaugment.TrivialAugmentWide()._augmentation_space(31))
    assert set(counts) == set(WIDE.operations)
    assert all(rate_is(count, 1 / 14) for count in counts.values()), counts


def test_the_strength_is_drawn_evenly_from_31_either_way():
    rng, trick = np.random.default_rng(2), TrivialAugment()
    steps = [trick.draw(rng, (224, 224))[0] for _ in range(DRAWS)]
    angles = [strengths[0] for name, strengths in steps if name == "Rotate"]
    counts = Counter(round(abs(angle), 3) for angle in angles)
    assert sorted(counts) == pytest.approx([4.5 * i for i in range(31)])
    assert all(rate_is(count, 1 / 31, len(angles)) for count in counts.values()), counts
    signed = [angle for angle in angles if angle]
    assert rate_is(sum(angle > 0 for angle in signed), 0.5, len(signed))


def test_a_image_follows_from_its_generator_alone():
    images = [TrivialAugment().augment(IMAGE, np.random.default_rng([3, i])) for i in range(60)]
    again = [TrivialAugment().augment(IMAGE, np.random.default_rng([3, i])) for i in range(60)]
    assert all(np.array_equal(a, b) for a, b in zip(images, again, strict=True))
    assert any(np.array_equal(a, IMAGE) for a in images), "one of 14 operations is none"
    assert len({image.tobytes() for image in images}) > 30


@pytest.mark.parametrize("how", [s.value for s in Sampling])
def test_the_interpolation_is_that_of_torchvisions_class(how):
    """ClassificationPresetTrain (references/classification/presets.py of pytorch/vision) hands its own to it."""
    (trick,) = create({"trivialaugment": {"interpolation": how}})
    expected = np.asarray(
        autoaugment._apply_op(Image.fromarray(IMAGE), "Rotate", 135.0 * 7 / 30, InterpolationMode(how), None)
    )
    for i in range(2000):
        step = trick.draw(np.random.default_rng(i), IMAGE.shape[:2])  # type: ignore[attr-defined]
        if step[0][0] == "Rotate" and step[0][1][0] == pytest.approx(31.5):
            assert np.array_equal(trick.augment(IMAGE, np.random.default_rng(i)), expected)  # type: ignore[attr-defined]
            break
    else:
        pytest.fail("31.5 degrees were not drawn")


@pytest.mark.parametrize("pair", [("autoaugment", "randaugment"), ("randaugment", "trivialaugment")])
def test_two_augmentations_are_refused_with_both_names(pair):
    with pytest.raises(UserError, match=f"{pair[0]}.*{pair[1]}"):
        resolve(create(pair), spec_of("resnet20"))
