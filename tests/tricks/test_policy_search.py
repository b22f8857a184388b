"""What a policy is searched among, against the paper, and the policies and files that come out."""

from pathlib import Path

import numpy as np
import optuna
import pytest

from assemble.errors import UserError
from tricks import _policy_search as space
from tricks import create
from tricks._policies import POLICIES, Policy
from tricks.autoaugment import AutoAugment, read_policy

OPERATIONS = space.operations_of(None, "paper")
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)


def proposals(n: int, sub_policies: int = 5) -> list[Policy]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.propose(study.ask(), OPERATIONS, sub_policies) for _ in range(n)]


def trick(**parameters) -> AutoAugment:
    (made,) = create({space.TRICK: parameters})
    assert isinstance(made, AutoAugment)
    return made


def test_the_space_is_the_papers_without_sample_pairing() -> None:
    assert set(OPERATIONS) == {
        *("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "AutoContrast", "Invert", "Equalize", "Solarize"),
        *("Posterize", "Contrast", "Color", "Brightness", "Sharpness", "Cutout"),
    }
    assert space.PROBABILITIES == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert space.LEVELS == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert space.sub_policies_of(OPERATIONS) == 1650**2
    assert space.sub_policies_of([*OPERATIONS, "SamplePairing"]) ** 5 == pytest.approx(2.9e32, rel=0.02)  # section 3


@pytest.mark.parametrize("name", ["imagenet", "cifar10", "svhn"])
def test_the_published_policies_are_in_it(name: str) -> None:
    for operation, probability, level in (step for sub_policy in POLICIES[name] for step in sub_policy):
        assert operation in OPERATIONS
        assert probability in space.PROBABILITIES
        assert level in space.LEVELS


def test_all_of_it_is_proposed_evenly() -> None:
    steps = [step for policy in proposals(1000) for sub_policy in policy for step in sub_policy]
    assert len(steps) == 1000 * 5 * 2
    for values, found in zip((OPERATIONS, space.PROBABILITIES, space.LEVELS), zip(*steps, strict=True), strict=True):
        counts = np.array([found.count(value) for value in values])
        assert counts.sum() == len(steps)
        expected = len(steps) / len(values)
        assert abs(counts - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("strengths", ["paper", "official"])
def test_a_proposal_on_the_command_line_is_what_the_trick_reads(strengths: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    for policy in proposals(20):
        line = f"policy={space.argument(policy)}"
        (override,) = OverridesParser.create().parse_overrides([line])
        assert not override.is_sweep_override()
        made = trick(policy=override.value(), strengths=strengths)
        assert made.sub_policies == policy
        assert made.augment(IMAGE, np.random.default_rng(0)).shape == IMAGE.shape


def test_a_candidate_that_changes_nothing() -> None:
    study = optuna.create_study()
    study.enqueue_trial(space.no_change(OPERATIONS, 5))
    policy = space.propose(study.ask(), OPERATIONS, 5)
    assert len({name for sub_policy in policy for name, _, _ in sub_policy}) == 10  # which it says nothing about
    made, rng = trick(policy=policy, strengths="paper"), np.random.default_rng(0)
    assert all(np.array_equal(made.augment(IMAGE, rng), IMAGE) for _ in range(100))


def test_the_file_has_the_sub_policies_of_all_in_their_order(tmp_path: Path) -> None:
    first, second = proposals(2, sub_policies=3)
    file = tmp_path / "policy.yaml"
    file.write_text(space.policy_file([second, first], ["Found by: a command: with [x]", ""]), encoding="utf-8")
    assert read_policy(str(file)) == (*second, *first)
    assert file.read_text().startswith("# Found by: a command: with [x]\n# \n- [[")


@pytest.mark.parametrize(
    ("operations", "strengths", "says"),
    [
        (["Rotat"], "paper", "Did you mean 'Rotate'"),
        ([], "paper", "list of sub-policies"),
        (["SolarizeAdd"], "paper", "SolarizeAdd"),
        (None, "weak", "strengths"),
    ],
)
def test_refused(operations: list[str] | None, strengths: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        space.operations_of(operations, strengths)


def test_operations_of_the_other_strengths_and_none_twice() -> None:
    assert space.operations_of(["SolarizeAdd", "Rotate", "Rotate"], "official") == ["SolarizeAdd", "Rotate"]
