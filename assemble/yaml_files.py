"""YAML files, read fast: every start reads recipes, and a report a thousand configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Safe, and ten times as fast where libyaml is."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values.

    Raises:
        OSError: it cannot be read.
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(path.read_bytes(), LOADER)
