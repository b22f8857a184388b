"""Numbers in words."""


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 job``, ``2 jobs``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def amount(value: float, more: bool = False) -> str:
    """Return an amount, as of parameters or multiply-adds, by three digits: ``44,370``, ``25.6 M``, ``4.09 G``.

    Args:
        more: with its sign, as of a difference.
    """
    sign = ("-" if value < 0 else "+") if more else ""
    value = abs(value)
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= size:
            digits = value / size
            return f"{sign}{digits:.{2 if digits < 10 else 1 if digits < 100 else 0}f} {unit}"
    return f"{sign}{value:,.0f}"


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
