"""What sets configurations apart: from their recipe as it is published, and from each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from assemble.config.groups import recipe_names
from assemble.runs.identity import EXCLUDED

MACHINE = (
    "data.root",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.accelerator",
    "trainer.strategy",
    "trainer.precision",
    "trainer.loss_scale",
    "trainer.accumulate_grad_batches",
    "trainer.channels_last",
    "trainer.compile",
    "trainer.deterministic",
    "eval.batch_size",
)
"""Keys that say where a run ran. A recipe run there is still that recipe; numbers of it are still its numbers."""

MISSING = "???"
"""OmegaConf's mark of a value which the user has to give."""


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value, without the keys that change nothing about the result.

    Lists are values.
    """
    values: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name in EXCLUDED:
            continue
        if isinstance(value, Mapping):
            values |= flat(value, f"{name}.")
        else:
            values[name] = value
    return values


@cache
def recipe_config(recipe: str) -> dict[str, Any] | None:
    """Return the configuration of a recipe as it stands in recipes/.

    None where there is none any more, or a broken one.

    Imports torch, through the tricks, whose dataclasses hold their defaults.
    """
    if recipe not in recipe_names():
        return None
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from assemble.config.compose import compose

    try:
        config: Any = OmegaConf.to_container(compose([f"recipe={recipe}"]), resolve=True, enum_to_str=True)
    except (HydraException, OmegaConfBaseException):  # train.py says what is wrong with it
        return None
    return config


def usual_config(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return dotted key -> the value that most of the configurations have (of those which have the key)."""
    counts: dict[str, Counter[str]] = {}
    for config in configs:
        for key, value in flat(config).items():
            counts.setdefault(key, Counter())[json.dumps(value, default=str)] += 1
    return {key: json.loads(counter.most_common(1)[0][0]) for key, counter in counts.items()}


def changes(config: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted key -> value, where a configuration differs from a flat reference.

    Keys of only one of them do not count: tricks are compared by their names, and later versions may have keys that
    earlier ones had not.

    What a recipe leaves for the user to name (a teacher, its folder) is no change of the recipe.
    """
    found = {}
    for key, value in flat(config).items():
        if key not in reference or key in MACHINE or plain(reference[key]) == plain(value):
            continue
        named = key.startswith("tricks.") and reference[key] in (None, MISSING) and isinstance(value, str)
        if not named:
            found[key] = value
    return found


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Shorten each dotted key to its last part where that is clear; ``model.name`` is the model."""
    parts = {key: key.removesuffix(".name").rpartition(".")[2] for key in keys}
    counts = Counter(parts.values())
    return {key: part if counts[part] == 1 else key for key, part in parts.items()}


def text(value: Any) -> str:
    """Return a value as one would type it."""
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def plain(value: Any) -> str:
    """Return a text that is equal where two values are: 1 and 1.0, tuples and lists."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return json.dumps(value, default=str)
