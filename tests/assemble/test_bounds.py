"""Ranges beside the fields they belong to."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from assemble.bounds import bounded, check_bounds
from assemble.errors import UserError
from assemble.schema import Config, EvaluateConfig


@dataclass
class Inner:
    share: float = bounded(0.5, above=0, most=1)


@dataclass
class Outer:
    rate: float = bounded(0.0, least=0, below=1)
    size: int | None = bounded(None, least=1)
    pair: tuple[float, float] = bounded((0.1, 1.0), count=2, rising=True, above=0, most=1)
    name: str = "free"
    inner: Inner = field(default_factory=Inner)


def test_the_ends_of_a_range():
    for fine in (
        {"rate": 0.0},
        {"rate": 0.999},
        {"size": 1},
        {"size": None},
        {"pair": (0.3, 0.3)},
        {"inner": Inner(1)},
    ):
        check_bounds(Outer(**fine))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": -0.1}, "o.rate must be at least 0 and below 1, not -0.1"),
        ({"rate": 1}, "o.rate must be at least 0 and below 1, not 1"),
        ({"rate": math.nan}, "o.rate must be at least 0 and below 1, not nan"),
        ({"size": 0}, "o.size must be at least 1, or null, not 0"),
        ({"pair": [0.5, 0.1]}, r"o.pair must be 2 rising numbers, each above 0 and at most 1, not \[0.5, 0.1\]"),
        ({"pair": [0.5]}, r"o.pair must be 2 rising .*, not \[0.5\]"),
        ({"inner": Inner(0.0)}, "o.inner.share must be above 0 and at most 1, not 0"),
        ({"inner": Inner(math.inf)}, "o.inner.share must be above 0 and at most 1, not inf"),
    ],
)
def test_a_number_out_of_its_range_is_named_with_it(values: dict[str, Any], message: str):
    with pytest.raises(UserError, match=f"^{message}$"):
        check_bounds(Outer(**values), "o.")


@pytest.mark.parametrize("config", [Config, EvaluateConfig])
def test_the_defaults_lie_within_their_ranges(config: type):
    check_bounds(config())
