"""The command line of ``evaluate.py``: train.py's ``key=value``, checked and typed before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assemble.command_line.check import check_schema, parse
from assemble.complaints import quoted
from assemble.config.groups import group_names
from assemble.errors import UserError
from assemble.schema import EvaluateConfig
from assemble.scoring.configuration import configure
from assemble.suggest import suggest

if TYPE_CHECKING:
    pass

LISTS = {"eval.predict"}
"""Keys of lists, which take one name without brackets too."""
TRAINING = ("train_share", "train_share_seed", "flip", "crop_scale", "crop_ratio", "crop_pad")
"""Keys of ``data`` that no score depends on."""


def read(argv: Sequence[str]) -> dict[str, Any]:
    """The arguments (without the program's name) as key -> value. Prints the help and exits where that was asked for.

    Raises:
        UserError: anything misspelt, unknown or contradictory.
    """
    if any(argument in {"-h", "--help"} for argument in argv):
        from assemble.command_line.help import evaluate_help

        print(evaluate_help())
        raise SystemExit(0)
    for argument in argv:
        if argument.startswith("-"):
            raise UserError(f"evaluate.py takes no option {argument}: write key=value. See --help")
    values: dict[str, Any] = {}
    for override in parse(list(argv)):
        key, line = override.key_or_group, str(override.input_line)
        if override.is_add() or override.is_force_add() or override.is_delete():
            raise UserError(f"{line}: write {key}=VALUE, without a sign before it")
        if override.is_sweep_override():
            raise UserError(
                f"{line} is a sweep, and one network is scored in one way. "
                + (f"Write {key}=[..]" if key in LISTS else f"For one value with a comma in it write {quoted(line)}")
            )
        check_schema(key.split("."), EvaluateConfig)
        value = override.value()
        if value == "":
            raise UserError(f"{line} is empty: write {key}=VALUE, or leave it out")
        if key in LISTS and isinstance(value, str | int | float):
            value = [str(value)]
        values[key] = value
    _check(values)
    configure(values)  # types
    return values


def _check(values: Mapping[str, Any]) -> None:
    """What the keys say together."""
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
