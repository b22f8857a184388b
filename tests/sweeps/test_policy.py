"""A search for a policy, from its command line to the file that it writes; nothing is trained."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from assemble.errors import UserError
from assemble.sweeps.policy import PolicySweeper, with_trick
from tests.helpers.composing import composing
from tests.helpers.small_search import Launcher, set_up
from tricks import create
from tricks.autoaugment import read_policy


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with composing("recipe=assemble_e01", "recipe=efficientnet_b0"):
        yield


def sweeper(folder: Path, **options: Any) -> PolicySweeper:
    keys = {"trials": 5, "parallel": 2, **options}
    chosen = ["hydra/sweeper=autoaugment", *(f"hydra.sweeper.{key}={value}" for key, value in keys.items())]
    config = compose("config", overrides=chosen, return_hydra_config=True)
    made: Any = Plugins.instance()._instantiate(config.hydra.sweeper)  # Hydra makes a class of its own of that file
    return set_up(made, folder)


def rotations(cfg: Any) -> dict[str, Any]:
    """A result that likes rotation."""
    policy = OmegaConf.to_object(cfg.tricks.autoaugment.policy)
    count = sum(name == "Rotate" for sub_policy in policy for name, _, _ in sub_policy)  # type: ignore[union-attr]
    return {"metrics": {"top1": -count}, "validation": {"top1": 50 + count + 0.5 * cfg.seed}}


def search(folder: Path, *arguments: str, patience: int = 10_000, **options: Any) -> tuple[PolicySweeper, Launcher]:
    made = sweeper(folder, **options)
    made.launcher = launcher = Launcher(made, rotations, patience)  # type: ignore[assignment]
    given = [f"output_dir={folder}", "data.train_share=0.5", *arguments]
    made.whole.hydra.overrides.task = given
    if patience < 10_000:
        with pytest.raises(KeyboardInterrupt):
            made.sweep(given)
    else:
        made.sweep(given)
    return made, launcher


def test_the_file_is_the_best_candidates_one_after_the_other(tmp_path: Path) -> None:
    found, launcher = search(tmp_path, "seed=0,1", "+tricks=[ema]", best=3, sub_policies=2)
    assert len(launcher.seen) == 5 * 2
    assert all("data.train_share=0.5 seed=" in line and "+tricks=[ema,autoaugment]" in line for line in launcher.seen)
    file = tmp_path / "sweep" / "policy.yaml"

    def rotates(number: int) -> int:
        return sum(name == "Rotate" for sub_policy in found.policies[number] for name, _, _ in sub_policy)

    best = sorted(range(5), key=lambda number: -rotates(number))[:3]  # of equals, the first
    assert read_policy(str(file)) == tuple(sub_policy for number in best for sub_policy in found.policies[number])
    comments = file.read_text()
    assert "# 5 candidates with a result; mean top-1 % on the validation set, of 2 run(s):" in comments
    lines = [f"# candidate {number}: {50.25 + rotates(number):.2f}, 2 sub-policies" for number in best]
    assert [line.rpartition(",")[0] for line in comments.splitlines() if "2 sub-policies" in line] == lines
    assert "# candidate 0, which changes nothing: 50.25" in comments
    assert "data.train_share=0.5" in comments.splitlines()[0]


def test_the_commands_at_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(tmp_path, "recipe=assemble_e01", "optim.lr=0.2", "seed=3", trials=2, best=1)
    said = dict(re.findall(r"^(use it|compare) +(.*)$", capsys.readouterr().out, re.MULTILINE))
    use, compare = (shlex.split(said[key]) for key in ("use it", "compare"))
    file = f"tricks.autoaugment.policy={tmp_path}/sweep/policy.yaml"
    ours = [f"output_dir={tmp_path}", "recipe=assemble_e01", "optim.lr=0.2", "+tricks=[autoaugment]"]
    assert use == ["python", "train.py", *ours, "tricks.autoaugment.strengths=paper", file]
    cfg = compose("config", overrides=use[2:])
    assert len(OmegaConf.to_object(cfg.tricks.autoaugment).sub_policies) == 5  # type: ignore[union-attr]
    assert compare[:5] == ["python", "train.py", "-m", "hydra/sweeper=ablation", "hydra.sweeper.tricks=[autoaugment]"]
    assert compare[5:] == [*use[2:-1], f"{file},imagenet,cifar10", "seed=0,1,2,3,4"]


def test_stopped_and_taken_up_it_finds_the_same(tmp_path: Path) -> None:
    whole, _ = search(tmp_path / "a")
    _, before = search(tmp_path / "b", patience=3)
    again, after = search(tmp_path / "b")
    assert (len(before.seen), len(after.seen)) == (3, 2)
    assert again.policies == whole.policies
    policies = [read_policy(str(tmp_path / name / "sweep" / "policy.yaml")) for name in "ab"]
    assert policies[0] == policies[1]


@pytest.mark.parametrize("arguments", [["+tricks=[augmix]"], ["recipe=efficientnet_b0"], ["+tricks=[],[randaugment]"]])
def test_beside_a_trick_that_does_the_same_it_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(UserError, match="brings trick autoaugment itself, and does not go with"):
        sweeper(tmp_path).plan(arguments)


def test_a_dropped_trick_of_its_own_is_refused(tmp_path: Path) -> None:
    """It would be dropped from the candidates, too."""
    with pytest.raises(UserError, match="does not go with autoaugment"):
        sweeper(tmp_path).plan(["recipe=efficientnet_b0", "drop=[autoaugment]"])


@pytest.mark.parametrize(
    ("options", "says"),
    [({"sub_policies": 0}, "sub_policies=0"), ({"best": 0}, "best=0"), ({"operations": "[Turn]"}, "Turn")],
)
def test_mistakes(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(Exception, match=says):  # Hydra's, around ours
        sweeper(tmp_path, **options)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["seed=0"], ["seed=0", "+tricks=[ema]"]),
        (["+tricks=[sk, se]", "seed=0"], ["+tricks=[sk,se,ema]", "seed=0"]),
        (["tricks=[]"], ["tricks=[ema]"]),
        (["tricks=sk"], ["tricks=[sk,ema]"]),
    ],
)
def test_with_a_trick_more(overrides: list[str], expected: list[str]) -> None:
    assert with_trick(overrides, "ema") == expected


def test_the_trick_is_one() -> None:
    assert create([PolicySweeper.mode])


# --- density matching


def match(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[PolicySweeper, Launcher]:
    """A search by networks that like rotation; those of ``data.train_share_seed=1`` find 2 % more."""

    class Network:
        def __init__(self, cfg: Any, checkpoint: Path) -> None:
            assert checkpoint.name == "last.ckpt"
            self.more = 2 * cfg.data.train_share_seed

        def top1(self, trick: Any, seed: int) -> float:
            return sum(name == "Rotate" for sub_policy in trick.sub_policies for name, _, _ in sub_policy) + self.more

    monkeypatch.setattr("assemble.scoring.density.Child", Network)
    made = sweeper(folder, method="density", trials=30, best=2)
    made.launcher = launcher = Launcher(made, lambda _: {"metrics": {"top1": 50}})  # type: ignore[assignment]
    made.sweep([f"output_dir={folder}", *arguments])
    return made, launcher


def test_networks_are_trained_without_the_trick_and_score_the_candidates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("+tricks=[ema]", "data.train_share=0.5", "data.train_share_seed=0,1")
    found, launcher = match(tmp_path, monkeypatch, *arguments)
    assert launcher.seen == [
        f"output_dir={tmp_path} +tricks=[ema] data.train_share=0.5 data.train_share_seed={k}" for k in (0, 1)
    ]
    rotations = {
        number: sum(name == "Rotate" for sub_policy in policy for name, _, _ in sub_policy)
        for number, policy in found.policies.items()
    }
    assert len(rotations) == 30
    best = sorted(rotations, key=lambda number: -rotations[number])[:2]
    file = tmp_path / "sweep" / "policy.yaml"
    assert read_policy(str(file)) == tuple(sub_policy for number in best for sub_policy in found.policies[number])
    assert f"# candidate {best[0]}: {rotations[best[0]] + 1:.2f}, 5 sub-policies" in file.read_text()
    assert match(tmp_path, monkeypatch, *arguments)[1].seen == []


def test_networks_that_were_trained_on_all_have_nothing_to_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="leave them some with"):
        match(tmp_path, monkeypatch)
