"""The metrics and how numbers are written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assemble.reporting.statistics import Gain, Spread


@dataclass(frozen=True)
class Metric:
    """A number of a result."""

    key: str
    title: str
    decimals: int = 2
    more_is_better: bool = True
    of_corruptions: bool = False
    """Does it depend on which corrupted images there were? (`assemble.reporting.robustness`)"""

    @property
    def sign(self) -> int:
        """What turns a difference into a gain."""
        return 1 if self.more_is_better else -1

    def number(self, value: float) -> str:
        return f"{value:,.{self.decimals}f}"

    def difference(self, value: float) -> str:
        """Format a difference with its sign; never -0.00."""
        rounded = round(value, self.decimals) + 0.0
        return f"{rounded:+,.{self.decimals}f}".replace("-", "\N{MINUS SIGN}")

    def spread(self, spread: Spread | None) -> str:
        """Format a spread: ``99.44 ± 0.38``."""
        if spread is None:
            return ""
        sd = "" if spread.sd is None else f" ± {self.number(spread.sd)}"
        return self.number(spread.mean) + sd

    def gain(self, gain: Gain | None) -> str:
        """Format a gain: ``+0.41 [-1.21, +2.03] (seeds 1-3)``.

        There is a mark in front where the interval contains zero; seeds are named where one of the rows has others.
        """
        if gain is None:
            return ""
        over = f" ({gain.over})" if gain.over else ""
        if gain.interval is None:
            return self.difference(gain.mean) + over
        low, high = map(self.difference, gain.interval)
        return f"{'' if gain.told_apart else UNDECIDED}{self.difference(gain.mean)} [{low}, {high}]{over}"


UNDECIDED = "≈ "
"""In front of a gain whose interval contains zero."""

METRICS = {
    metric.key: metric
    for metric in (
        Metric("top1", "top-1 %"),
        Metric("top5", "top-5 %"),
        Metric("loss", "loss", 3, more_is_better=False),
        Metric("ece", "ECE %", more_is_better=False),
        Metric("mce", "mCE %", more_is_better=False, of_corruptions=True),
        Metric("mce_unnormalised", "mCE % (unnormalised)", more_is_better=False),
        Metric("mce_drawn_frost", "mCE % (drawn frost)", more_is_better=False, of_corruptions=True),
        Metric("corruption_error", "corruption error %", more_is_better=False, of_corruptions=True),
        Metric("mfr", "mFR %", more_is_better=False, of_corruptions=True),
        Metric("mean_flip_probability", "flips %", more_is_better=False, of_corruptions=True),
        Metric("throughput", "images/s", 0),
    )
}
"""The metrics that are known, in the order of their columns. A result may hold others."""


def metric(key: str) -> Metric:
    """Return a metric by its name, ``mce`` or ``mce (jpeg=true)``.

    Of one that is not known, more is taken to be better.
    """
    name, space, condition = key.partition(" ")
    known = METRICS.get(name) or Metric(name, name)
    return replace(known, key=key, title=f"{known.title}{space}{condition}")


def brief(value: float) -> str:
    """Format `amount` of a round number: ``4 G``, ``2.5 M``, ``400``."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:,g}"


def duration(seconds: float) -> str:
    """Format a duration: ``5.5 s``, ``3 min 20 s``, ``2 h 05 min``, ``4 d 03 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, part, size, inner in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // inner:02d} {part}"
    return f"{whole} s"
