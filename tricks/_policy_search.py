"""What a search for a policy of AutoAugment chooses from, and what comes out of it.

Paper: Cubuk et al. 2018 (arXiv 1805.09501), section 3: a candidate is five sub-policies, each of two operations in
their order, each with one of 11 probabilities and one of 10 levels; the policy is the sub-policies of the five best
candidates, 25 in all.
Differs: SamplePairing is not there, which needs a second image: (15 x 11 x 10)^2 sub-policies where the paper's 16
operations make (16 x 11 x 10)^2. Candidates come from Optuna's TPE in the place of a recurrent network trained by PPO.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tricks._policies import Policy

if TYPE_CHECKING:
    from optuna import Trial

TRICK = "autoaugment"
"""The trick whose policies these are."""
ALIKE = ("randaugment", "trivialaugment", "augmix")
"""Tricks that apply the same operations: a policy found beside one of them would be what is left to do."""


PROBABILITIES = tuple(tenths / 10 for tenths in range(11))
LEVELS = tuple(range(10))


def operations_of(names: Sequence[str] | None, strengths: str) -> list[str]:
    """Return the operations to choose from; where ``names`` is None, all of the paper's that there are.

    Raises:
        UserError: an unknown or no operation, or unknown strengths.
    """
    from tricks import create
    from tricks.autoaugment import OPERATIONS

    chosen: list[str] = [*OPERATIONS.split()] if names is None else [*dict.fromkeys(names)]
    create({TRICK: {"strengths": strengths, "policy": [[[name, 0, 0]] for name in chosen]}})  # refuses what it has not
    return chosen


def sub_policies_of(operations: Sequence[str]) -> int:
    """Count the different sub-policies that there are."""
    return (len(operations) * len(PROBABILITIES) * len(LEVELS)) ** 2


def propose(trial: Trial, operations: Sequence[str], sub_policies: int) -> Policy:
    """Make a policy whose parameters ``trial`` suggests."""

    def operation(place: str) -> tuple[str, float, float]:
        return (
            trial.suggest_categorical(f"{place}.operation", operations),
            PROBABILITIES[trial.suggest_int(f"{place}.probability", 0, len(PROBABILITIES) - 1)],
            LEVELS[trial.suggest_int(f"{place}.level", 0, len(LEVELS) - 1)],
        )

    return tuple((operation(f"{i}.first"), operation(f"{i}.second")) for i in range(sub_policies))


def no_change(operations: Sequence[str], sub_policies: int) -> dict[str, Any]:
    """Return parameters for `propose` of the policy that leaves every image as it is, with operations in turn."""
    places = [f"{i}.{which}" for i in range(sub_policies) for which in ("first", "second")]
    return {
        f"{place}.{key}": value
        for number, place in enumerate(places)
        for key, value in (
            ("operation", operations[number % len(operations)]),
            ("probability", 0),
            ("level", 0),
        )
    }


def argument(policy: Policy) -> str:
    """Return the policy as one value on the command line."""
    return f"[{','.join(map(_line, policy))}]".replace(" ", "")


def policy_file(policies: Iterable[Policy], comments: Iterable[str]) -> str:
    """Return a YAML file with the sub-policies of all, which ``tricks.autoaugment.policy=FILE`` takes."""
    lines = [f"# {line}" for line in comments]
    lines += [f"- {_line(sub_policy)}" for policy in policies for sub_policy in policy]
    return "\n".join(lines) + "\n"


def _line(sub_policy: Iterable[tuple[str, float, float]]) -> str:
    return f"[{', '.join(f'[{name}, {probability:g}, {level:g}]' for name, probability, level in sub_policy)}]"
