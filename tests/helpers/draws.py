"""How often something was drawn."""

import math

DRAWS = 100_000


def rate_is(count: int, probability: float, n: int = DRAWS) -> bool:
    """Whether ``count`` of ``n`` draws lies within five standard deviations."""
    return abs(count - n * probability) <= 5 * math.sqrt(n * probability * (1 - probability))
