"""RandAugment: what is drawn, in each code's space. The operations and their strengths: test_image_ops.py."""

from collections import Counter

import numpy as np
import pytest

from assemble.errors import UserError
from tests.helpers.draws import DRAWS, rate_is
from tricks import create
from tricks.randaugment import SPACES, RandAugment, SpaceName

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
SIZE = (224, 224)


def make(**parameters) -> RandAugment:
    (trick,) = create({"randaugment": parameters})
    assert isinstance(trick, RandAugment)
    return trick


def names_of(space: str) -> set[str]:
    return set(SPACES[SpaceName(space)].operations)


def test_the_spaces_have_the_operations_of_their_codes():
    from timm.data import auto_augment
    from torchvision.transforms import autoaugment

    def plain(names):
        return {name.removesuffix("Increasing").removesuffix("Rel") for name in names}

    assert names_of("timm_increasing") == plain(auto_augment._RAND_INCREASING_TRANSFORMS)
    assert names_of("timm") == plain(auto_augment._RAND_TRANSFORMS)
    assert names_of("torchvision") == set(autoaugment.RandAugment()._augmentation_space(31, SIZE))
    # efficientnetv2/autoaugment.py of github.com/google/automl: 16 operations, all that there are
    assert names_of("efficientnetv2") == names_of("timm") | {"Cutout"}
    assert len(names_of("efficientnetv2")) == 16


@pytest.mark.parametrize("space", [s.value for s in SpaceName])
def test_operations_are_drawn_evenly_and_act_with_the_probability(space):
    trick = make(space=space, num_ops=2, probability=0.5)
    rng = np.random.default_rng(1)
    n = DRAWS // 4
    counts = Counter(name for _ in range(n) for name, _ in trick.draw(rng, SIZE))
    names = names_of(space)
    assert set(counts) == names
    assert all(rate_is(count, 0.5 / len(names), 2 * n) for count in counts.values()), counts
    assert len(make(space=space, num_ops=3, probability=1.0).draw(rng, SIZE)) == 3


def test_the_magnitude_is_drawn_around_the_mean_for_each_operation():
    """Seen in the angles: 3 degrees for each unit of magnitude, cut at 10."""
    trick = make(magnitude=9.0, magnitude_std=2.0, probability=1.0, num_ops=50)
    rng = np.random.default_rng(2)
    steps = [step for _ in range(3000) for step in trick.draw(rng, SIZE)]
    magnitudes = np.array([abs(strengths[0]) / 3 for name, strengths in steps if name == "Rotate"])
    assert len(magnitudes) > 8000
    assert magnitudes.max() == 10
    assert np.mean(magnitudes == 10) == pytest.approx(0.3085, abs=0.025)  # above the mean by half a deviation
    assert np.mean(magnitudes < 9) == pytest.approx(0.5, abs=0.03)
    assert np.mean(magnitudes < 7) == pytest.approx(0.1587, abs=0.02)


def test_without_deviation_every_strength_is_the_magnitudes():
    trick = make(space="efficientnetv2", magnitude=15.0, magnitude_std=0.0, probability=1.0)
    rng = np.random.default_rng(3)
    seen = {}
    for _ in range(2000):
        for name, strengths in trick.draw(rng, SIZE):
            seen.setdefault(name, set()).add(abs(strengths[0]) if strengths else None)
    expected = {  # level_to_arg of efficientnetv2/autoaugment.py with translate_const 100, cutout_const 40
        "Rotate": 45,
        "ShearX": 0.45,
        "ShearY": 0.45,
        "TranslateX": 150,
        "TranslateY": 150,
        "Color": 2.8,
        "Contrast": 2.8,
        "Brightness": 2.8,
        "Sharpness": 2.8,
        "Posterize": 6,
        "Solarize": 384 - 256,  # a uint8
        "SolarizeAdd": 165,
        "Cutout": 60,
    }
    assert set(seen) == set(expected) | {"AutoContrast", "Equalize", "Invert"}
    for name, value in expected.items():
        assert list(seen[name]) == pytest.approx([value]), name


def test_timm_draws_between_bilinear_and_bicubic():
    trick = make(probability=1.0)
    rng = np.random.default_rng(4)
    how = Counter(s[1] for _ in range(10_000) for name, s in trick.draw(rng, SIZE) if name == "Rotate")
    assert len(how) == 2
    assert all(rate_is(count, 0.5, how.total()) for count in how.values())


def test_a_magnitude_that_moves():
    trick = make(magnitude={"from": 0, "to": 10}, magnitude_std=0.0, probability=1.0, num_ops=100)
    for progress, angle in ((0.0, 0.0), (0.5, 15.0), (1.0, 30.0)):
        steps = trick.at(progress).draw(np.random.default_rng(5), SIZE)
        assert {abs(s[0]) for name, s in steps if name == "Rotate"} == {angle}


@pytest.mark.parametrize("space", ["timm_increasing", "torchvision"])
def test_at_magnitude_0_all_that_has_a_strength_does_nothing(space):
    """But for timm's Posterize, which begins with 4 bits, and torchvision's Solarize, which inverts 255."""
    trick = make(space=space, magnitude=0.0, magnitude_std=0.0, probability=1.0)
    rng = np.random.default_rng(6)
    image = np.minimum(IMAGE, 254)
    seen = set()
    for _ in range(300):
        for name, strengths in trick.draw(rng, image.shape[:2]):
            if name not in {"AutoContrast", "Equalize", "Invert"} and (space, name) != ("timm_increasing", "Posterize"):
                operation = SPACES[SpaceName(space)].operations[name]
                assert np.array_equal(operation(image, *strengths), image), name
                seen.add(name)
    assert len(seen) > 10


@pytest.mark.parametrize("space", [s.value for s in SpaceName])
def test_every_magnitude_works_and_follows_from_the_generator_alone(space):
    for magnitude in (0, 0.5, 3, 5, 9.7, 10) + ((15, 22.5, 30) if SPACES[SpaceName(space)].top == 30 else ()):
        trick = make(space=space, magnitude=magnitude, probability=1.0, num_ops=4)
        for i in range(30):
            first, again = (trick.augment(IMAGE, np.random.default_rng([7, i])) for _ in range(2))
            assert np.array_equal(first, again)
            assert first.shape == IMAGE.shape
            assert first.dtype == np.uint8


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"num_ops": 0}, "num_ops must be at least 1"),
        ({"magnitude": 11}, "magnitude of timm_increasing lies between 0 and 10"),
        ({"magnitude": -1}, "between 0 and 10"),
        ({"magnitude": {"from": 5, "to": 31}, "space": "efficientnetv2"}, "between 0 and 30"),
        ({"magnitude_std": -0.5}, "magnitude_std must be at least 0"),
        ({"probability": 0.0}, "probability must be above 0"),
        ({"probability": 1.5}, "probability must be above 0"),
        ({"space": "tims"}, "tims"),
    ],
)
def test_mistakes(parameters, says):
    with pytest.raises(UserError, match=says):
        make(**parameters)
