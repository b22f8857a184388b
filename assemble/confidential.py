"""What is secret stays out of files: keys, tokens, passwords, and what a logger takes from the environment.

A secret is best given as ``logger.mlflow.tracking_uri=${oc.env:NAME}`` or left in the variable that its library reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

NAME = re.compile(r"(api_?key|access_?key|secret|token|passw(or)?d|credential)", re.IGNORECASE)
"""What the names of secrets have in them."""
ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*(\w+)")
IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]+:[^/\s@]+(?=@)")
"""The user and the password of an address."""
HIDDEN = "***"


def without_secrets(config: Mapping[str, Any], cfg: DictConfig) -> dict[str, Any]:
    """Return a resolved configuration as it may be written to files.

    In the place of a value that a logger, or a key named as secrets are, took from the environment stands what was
    written there; other secrets are `HIDDEN`.

    Args:
        config: the resolved configuration as plain values.
        cfg: the same configuration with its interpolations.
    """
    from omegaconf import OmegaConf

    written: Any = OmegaConf.to_container(cfg, resolve=False, enum_to_str=True)
    return {str(key): _kept(str(key), value, written.get(key), key == "logger") for key, value in config.items()}


def _kept(name: str, value: Any, written: Any, of_logger: bool) -> Any:
    if isinstance(value, Mapping):
        below = written if isinstance(written, Mapping) else {}
        return {key: _kept(str(key), inner, below.get(key), of_logger) for key, inner in value.items()}
    if isinstance(value, list):
        below = written if isinstance(written, list) and len(written) == len(value) else value
        return [_kept(name, inner, said, of_logger) for inner, said in zip(value, below, strict=True)]
    variable = ENVIRONMENT.search(written) if isinstance(written, str) else None
    if variable and (of_logger or NAME.search(variable[1]) or NAME.search(name)):
        return written
    return _hidden(name, value)


def _hidden(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return HIDDEN if value and NAME.search(name) else IN_ADDRESS.sub(HIDDEN, value)


def redacted(override: str) -> str:
    """Return an argument ``key=value`` as it may be written to files."""
    key, equals, value = override.partition("=")
    return override if ENVIRONMENT.search(value) else f"{key}{equals}{_hidden(key.rpartition('.')[2], value)}"
