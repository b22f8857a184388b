"""The command line of ``evaluate.py``: train.py's ``key=value``, checked and typed before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assemble.command_line.options import answer_help, read_values
from assemble.config.groups import group_names
from assemble.errors import UserError
from assemble.plugins import use
from assemble.schema import EvaluateConfig
from assemble.scoring.configuration import configure
from assemble.suggest import suggest

TRAINING = (
    "train_share",
    "train_share_seed",
    "flip",
    "vflip",
    "crop_scale",
    "crop_ratio",
    "crop_pad",
    "train_interpolation",
)
"""Keys of ``data`` that no score depends on."""


def read(argv: Sequence[str]) -> dict[str, Any]:
    """Read the arguments (without the program's name) as key -> value. ``--help`` prints the help and exits.

    Raises:
        UserError: anything misspelt, unknown or contradictory.
    """
    from assemble.command_line.help import evaluate_help

    answer_help(argv, evaluate_help())
    for argument in argv:
        if argument.startswith("-"):
            raise UserError(f"evaluate.py takes no option {argument}: write key=value. See --help")
    values = read_values(EvaluateConfig, argv)
    use(values.get("plugins", ()))
    _check(values)
    configure(values)  # types
    return values


def _check(values: Mapping[str, Any]) -> None:
    """Check what the keys say together."""
    options = group_names()["data"]
    if "data" in values and str(values["data"]) not in options:
        raise UserError(suggest("data", values["data"], options))
    for key in TRAINING:
        if f"data.{key}" in values:
            raise UserError(f"data.{key} is for training, and changes no score: leave it out")
    for group in ("eval", "trainer"):
        if group in values:
            raise UserError(f"{group} has no presets here: set {group}.<key>=... See --help")
    sources = [key for key in ("checkpoint", "model") if values.get(key)]
    if len(sources) != 1:
        what = "name one network, not two:" if sources else "name what is to be scored:"
        raise UserError(f"{what} checkpoint=runs/.../best.ckpt, model=timm:NAME[@WEIGHTS] or model=efficientnet_lite0")
    if values.get("eval.cam") and not values.get("eval.predict"):
        raise UserError("eval.cam=true draws where a network looks in images: name them with eval.predict=[FILE,..]")
