"""Reading and writing result.json, and which of the asked scores it has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.atomic import write_whole

if TYPE_CHECKING:
    pass


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


def read_result(directory: Path, name: str = "result.json") -> dict[str, Any] | None:
    """Read the result.json of a directory, or its evaluation.json, if it is there and whole."""
    try:
        result = json.loads((directory / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and isinstance(result.get("metrics"), dict) else None


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
