"""Lists of overrides: what tells one job from another, and what a dropped trick leaves behind."""

from __future__ import annotations

from collections.abc import Sequence


def varying(combinations: Sequence[Sequence[str]]) -> list[str]:
    """Return what is special about each list of overrides: those which not all have, without seed and fold."""
    common = set.intersection(*map(set, combinations)) if combinations else set()
    return [
        " ".join(o for o in c if o not in common and not o.startswith(("seed=", "data.fold="))) for c in combinations
    ]


def key_of(override: str) -> str:
    """Return the key of an override: ``tricks.sk.reduction`` of ``++tricks.sk.reduction=4``."""
    return override.partition("=")[0].lstrip("+~")


def without(overrides: Sequence[str], dropped: Sequence[str]) -> list[str]:
    """Return the overrides without parameters of what is dropped, which the job would refuse."""
    gone = tuple(f"tricks.{name}." for name in dropped)
    return [override for override in overrides if not key_of(override).startswith(gone)]


def dropping(overrides: Sequence[str], dropped: Sequence[str]) -> list[str]:
    """Return the overrides with these tricks in ``drop``, and no others."""
    kept = [override for override in without(overrides, dropped) if key_of(override) != "drop"]
    return [*kept, *([f"drop=[{','.join(dropped)}]"] if dropped else [])]
