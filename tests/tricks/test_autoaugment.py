"""AutoAugment: the policies, what is drawn from them, and whose strengths apply. The operations: test_image_ops.py."""

import hashlib
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import autoaugment

from assemble.data.image_ops import PILLOW, TENSORFLOW
from assemble.errors import UserError
from tests.helpers.draws import DRAWS, rate_is
from tricks import create
from tricks._policies import POLICIES
from tricks.autoaugment import AutoAugment

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)


def make(**parameters) -> AutoAugment:
    (trick,) = create({"autoaugment": parameters})
    assert isinstance(trick, AutoAugment)
    return trick


# --- policies


@pytest.mark.parametrize("name", ["imagenet", "cifar10", "svhn"])
def test_policies_of_the_paper_equal_torchvisions(name):
    theirs = autoaugment.AutoAugment(autoaugment.AutoAugmentPolicy(name)).policies
    assert len(theirs) == len(POLICIES[name])
    for sub_policy, other in zip(POLICIES[name], theirs, strict=True):
        for (operation, probability, level), expected in zip(sub_policy, other, strict=True):
            assert (operation, probability, level if expected[2] is not None else None) == expected


def test_policy_v0_equals_timms():
    from timm.data.auto_augment import auto_augment_policy_v0

    theirs = [
        [(op.name.removesuffix("Rel"), op.prob, op.magnitude) for op in pair] for pair in auto_augment_policy_v0({})
    ]
    assert [list(sub_policy) for sub_policy in POLICIES["v0"]] == theirs


def test_policy_good_is_the_official_one():
    """The digest is of the list in preprocessing/autoaugment.py of github.com/clovaai/assembled-cnn."""
    good = POLICIES["good"]
    assert len(good) == 95
    assert hashlib.sha256(repr(good).encode()).hexdigest()[:16] == "ec1ccb2e1037f328"


# --- draws


def test_sub_policies_are_drawn_evenly():
    levels = [i / 4 for i in range(25)]  # each sub-policy tells itself by its factor
    trick = make(policy=[[["Color", 1.0, level]] for level in levels])
    rng = np.random.default_rng(1)
    counts = Counter(trick.draw(rng, (224, 224))[0][1] for _ in range(DRAWS))
    assert len(counts) == 25
    assert all(rate_is(count, 1 / 25) for count in counts.values()), counts


@pytest.mark.parametrize("policy", POLICIES)
def test_each_operation_acts_with_its_probability(policy):
    trick = make(policy=policy)
    rng = np.random.default_rng(2)
    pairs = Counter(tuple(name for name, _ in trick.draw(rng, (224, 224))) for _ in range(DRAWS))
    expected: Counter = Counter()
    for (first, p, _), (second, q, _) in POLICIES[policy]:
        for names, share in (
            ((first, second), p * q),
            ((first,), p * (1 - q)),
            ((second,), (1 - p) * q),
            ((), (1 - p) * (1 - q)),
        ):
            expected[names] += share / len(POLICIES[policy])
    assert {names for names, share in expected.items() if share > 0} >= set(pairs)
    for names, share in expected.items():
        assert rate_is(pairs[names], min(share, 1.0)), (names, pairs[names] / DRAWS, share)


@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
@pytest.mark.parametrize(("strengths", "level"), [("official", 10), ("paper", 9)])
def test_geometry_goes_either_way_as_often(name, strengths, level):
    trick = make(policy=[[[name, 1.0, level]]], strengths=strengths)
    rng = np.random.default_rng(3)
    counts = Counter(trick.draw(rng, (331, 331))[0][1][0] for _ in range(10_000))
    strongest = {"R": 30, "S": 0.3, "T": 250 if strengths == "official" else 150}[name[0]]
    assert sorted(counts) == pytest.approx([-strongest, strongest])
    assert all(rate_is(count, 0.5, 10_000) for count in counts.values())


def test_cutout_falls_anywhere_and_has_the_side_of_its_level():
    rng = np.random.default_rng(4)
    for strengths, level, half in (("official", 3, 30), ("paper", 9, 30), ("paper", 3, 10)):
        trick = make(policy=[[["Cutout", 1.0, level]]], strengths=strengths)
        drawn = np.array([trick.draw(rng, (224, 224))[0][1] for _ in range(2000)])
        assert set(drawn[:, 0]) == {half}
        assert drawn[:, 1:].mean(0) == pytest.approx([0.5, 0.5], abs=0.03)


# --- images


@pytest.mark.parametrize(
    ("strengths", "operations", "factor"), [("official", TENSORFLOW, 1.54), ("paper", PILLOW, 1 + 0.8)]
)
def test_the_operations_act_in_order(strengths, operations, factor):
    trick = make(policy=[[["Contrast", 1.0, 8], ["Posterize", 1.0, 8], ["Invert", 0.0, 0]]], strengths=strengths)
    bits = 3 if strengths == "official" else 4
    rng = np.random.default_rng(5)
    after = trick.augment(IMAGE, rng)
    candidates = [factor] if strengths == "official" else [factor, 2 - factor]
    expected = [operations["Posterize"](operations["Contrast"](IMAGE, f), bits) for f in candidates]
    assert any(np.array_equal(after, e) for e in expected)
    assert after.flags.writeable


@pytest.mark.parametrize("strengths", ["official", "paper"])
def test_a_image_follows_from_its_generator_alone(strengths):
    trick = make(strengths=strengths)
    before = IMAGE.copy()
    first = [trick.augment(IMAGE, np.random.default_rng([6, i])) for i in range(50)]
    np.random.seed(0)
    again = [trick.augment(IMAGE, np.random.default_rng([6, i])) for i in reversed(range(50))]
    assert all(np.array_equal(a, b) for a, b in zip(first, reversed(again), strict=True))
    assert len({image.tobytes() for image in first}) > 20
    assert np.array_equal(IMAGE, before)


@pytest.mark.parametrize("name", ["autoaugment", "randaugment", "trivialaugment"])
def test_pil_images_and_tensors_are_taken_too(name):
    (trick,) = create([name])
    tensor = torch.from_numpy(IMAGE).permute(2, 0, 1)
    for i in range(20):
        expected = trick.augment(IMAGE, np.random.default_rng(i))
        for image in (Image.fromarray(IMAGE), tensor):
            assert np.array_equal(trick.augment(image, np.random.default_rng(i)), expected)
        assert np.array_equal(pickle.loads(pickle.dumps(trick)).augment(IMAGE, np.random.default_rng(i)), expected)


@pytest.mark.parametrize(
    "policy",
    [
        [[["Invert", 0.0, 5], ["Equalize", 0.0, 5]]],
        [[["Rotate", 1.0, 0], ["ShearX", 1.0, 0]], [["TranslateY", 1.0, 0], ["Color", 1.0, 5]]],
    ],
    ids=["never", "no strength"],
)
def test_nothing_is_the_identity(policy):
    trick = make(policy=policy)
    for i in range(20):
        assert np.array_equal(trick.augment(IMAGE[:, ::-1], np.random.default_rng(i)), IMAGE[:, ::-1])


# --- a user's own policy, and mistakes


def test_a_policy_from_a_file(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("- [[Posterize, 0.4, 8], [Rotate, 0.6, 9]]\n- [[Invert, 1, 0]]\n")
    assert make(policy=str(file)).sub_policies == (
        (("Posterize", 0.4, 8.0), ("Rotate", 0.6, 9.0)),
        (("Invert", 1.0, 0.0),),
    )


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"policy": "imagnet"}, "Did you mean 'imagenet'"),
        ({"policy": "missing.yaml"}, "missing.yaml cannot be read"),
        ({"policy": []}, "must be a list of sub-policies"),
        ({"policy": [[]]}, "must be a list of sub-policies"),
        ({"policy": [[["Rotate", 0.5]]]}, "must be a list of sub-policies"),
        ({"policy": [["Rotate", 0.5, 3]]}, "must be a list of sub-policies"),
        ({"policy": 3}, "must be a list of sub-policies"),
        ({"policy": [[["Rotat", 0.5, 3]]]}, "Did you mean 'Rotate'"),
        ({"policy": [[["Rotate", 1.5, 3]]]}, "Rotate has the probability 1.5"),
        ({"policy": [[["Rotate", 0.5, 11]]]}, "official levels are 0 to 10"),
        ({"policy": [[["Rotate", 0.5, 10]]], "strengths": "paper"}, "paper levels are 0 to 9"),
        ({"policy": "v0", "strengths": "paper"}, "SolarizeAdd"),
        ({"strengths": "papers"}, "papers"),
    ],
)
def test_mistakes(parameters, says):
    with pytest.raises(UserError, match=says):
        make(**parameters)


def test_a_broken_file_is_named(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("- [[Posterize, 0.4")
    with pytest.raises(UserError, match=r"own\.yaml cannot be read"):
        make(policy=str(file))
