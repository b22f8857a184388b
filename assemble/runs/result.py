"""Reading and writing result.json, and which of the asked scores it has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assemble.atomic import write_whole
from assemble.json_files import Kind, is_mapping, is_number, is_numbers, is_text, is_texts, is_whole, read_object

SCORES = ("top1", "top5", "loss", "ece", "ece_10")
"""Metrics of an evaluation."""


def _scores(value: Any) -> bool:
    return is_numbers(value) and "top1" in value


def _all_scores(value: Any) -> bool:
    return is_numbers(value) and all(is_number(value.get(key)) for key in SCORES)


def _robustness(value: Any) -> bool:
    return is_mapping(value) and is_mapping(value.get("settings")) and is_text(value["settings"].get("corruptions"))


RUN: Mapping[str, Kind] = {
    "run_id": is_text,
    "config_hash": is_text,
    "seed": is_whole,
    "tricks": is_texts,
    "metrics": _scores,
}
"""What every result.json has."""
EVALUATION_FILE = "evaluation.json"
EVALUATION: Mapping[str, Kind] = {"metrics": _all_scores, "count": is_whole}
"""What every evaluation.json has."""
OPTIONAL: Mapping[str, Kind] = {
    **dict.fromkeys(("recipe", "model", "data", "data_digest", "scored_split", "weights"), is_text),
    **dict.fromkeys(("git_commit", "command", "tag"), is_text),
    **dict.fromkeys(("params", "macs", "epochs", "train_seconds", "step_seconds", "throughput"), is_number),
    **dict.fromkeys(("hardware", "versions"), is_mapping),
    "classes": is_texts,
    "fold": lambda value: is_mapping(value) and set(value) >= {"fold", "folds"} and all(map(is_whole, value.values())),
    "validation": _scores,
    "robustness": _robustness,
}
"""What they may have, and earlier versions had not."""


def asked_robustness(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the settings of ``eval`` that robustness scores depend on, None where none are asked for."""
    asked = config["eval"]
    if not asked.get("corruptions"):
        return None
    on_the_fly = asked["corruptions"] == "on_the_fly"
    keys = ("extra", "preset", "jpeg") if on_the_fly else ("root",)
    settings = {"corruptions": asked["corruptions"], **{key: asked[f"corruptions_{key}"] for key in keys}}
    return {**settings, "frost_textures": asked["frost_textures"]} if on_the_fly else settings


def has_asked_scores(result: Mapping[str, Any] | None, config: Mapping[str, Any]) -> bool:
    """Return True where there is a result with the scores that the configuration asks for."""
    return result is not None and not (lacks_robustness(result, config) or lacks_throughput(result, config))


def lacks_robustness(result: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Return True where the configuration asks for a robustness that the result has not."""
    asked = asked_robustness(config)
    return asked is not None and result.get("robustness", {}).get("settings") != asked


def lacks_throughput(result: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Return True where the configuration asks for a throughput that the result has not."""
    return bool(config["eval"].get("throughput")) and "throughput" not in result


def check_result(path: Path, required: Mapping[str, Kind] = RUN) -> dict[str, Any]:
    """Read a result.json, or an evaluation.json.

    Raises:
        OSError: it is not there.
        ValueError: it is damaged, or something else; the message names it.
    """
    return read_object(path, required, OPTIONAL)


def read_result(
    directory: Path, name: str = "result.json", required: Mapping[str, Kind] = RUN
) -> dict[str, Any] | None:
    """Read the result.json of a directory, or its evaluation.json, if it is there and whole."""
    try:
        return check_result(directory / name, required)
    except (OSError, ValueError):
        return None


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write the whole file or none of it. Numbers that are not finite become null, which JSON can say."""
    write_whole(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")
    return path


def yaml_text(config: Mapping[str, Any]) -> str:
    """Return the content of a config.yaml."""
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
