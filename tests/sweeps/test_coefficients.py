"""The grid of compound scaling's coefficients, by hand."""

from typing import Any

import pytest

from assemble.errors import UserError
from assemble.sweeps.coefficients import SINGLE, Coefficients, candidates


def test_by_hand() -> None:
    chosen = {"alpha": [1.2, 1.0, 2.0], "beta": [1.1, 1.0], "gamma": [1.0, 1.15, 1.4]}
    # 1.2 * 1.21 * 1.3225 = 1.920, 2.0, 1.96; but 1.2 * 1.3225 = 1.587, 1.4^2 * 1.21 = 2.37, 1.2 * 1.96 = 2.35
    assert candidates(0.1, 0.1, chosen) == [
        Coefficients(1.0, 1.0, 1.4),
        Coefficients(1.2, 1.1, 1.15),
        Coefficients(2.0, 1.0, 1.0),
    ]
    assert candidates(0.1, 0.0, chosen) == [Coefficients(2.0, 1.0, 1.0)]


def test_by_step() -> None:
    found = candidates(0.05, 0.1, {})
    assert Coefficients(1.2, 1.1, 1.15) in found
    assert all(1.9 - 1e-9 <= triple.growth <= 2.1 + 1e-9 for triple in found)
    assert (min(t.alpha for t in found), max(t.alpha for t in found)) == (1.0, 2.1)
    assert (min(t.beta for t in found), max(t.beta for t in found)) == (1.0, 1.4)
    assert len(found) == 111 == len(set(found))


def test_single_scaling_doubles_the_multiply_adds() -> None:
    assert [round(coefficients.growth, 12) for coefficients in SINGLE.values()] == [2.0, 2.0, 2.0]
    assert Coefficients(1.2, 1.1, 1.15).growth == pytest.approx(1.92027)


@pytest.mark.parametrize(
    ("step", "tolerance", "chosen", "line"),
    [
        (0.0, 0.1, {}, "hydra.sweeper.step=0 must be above 0"),
        (0.1, -0.1, {}, "hydra.sweeper.tolerance=-0.1 must be at least 0"),
        (0.1, 1.0, {}, "hydra.sweeper.tolerance=1 must be"),
        (0.1, 0.1, {"beta": []}, r"hydra.sweeper.beta=\[\] tries nothing"),
        (0.1, 0.1, {"gamma": [0.9]}, r"hydra.sweeper.gamma=\[0.9\]: each is at least 1"),
        (
            0.6,
            0.05,
            {},
            r"no alpha \* beta\^2 \* gamma\^2 of the grid is within 0.05 of 2 \(alpha=1.6 .*: 1.6\): raise",
        ),
    ],
)
def test_mistakes(step: float, tolerance: float, chosen: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        candidates(step, tolerance, chosen)
