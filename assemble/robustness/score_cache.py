"""Numbers that took long to get, kept on disk one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from assemble.atomic import write_whole
from assemble.errors import UserError
from assemble.json_files import parse_json


class Ledger:
    """A JSON file of named values. Each is safe as soon as `add` returns, whenever the process is killed.

    Raises:
        UserError: the file is there and is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        if path.exists():
            try:
                self.values = dict(parse_json(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise UserError(f"{path} is damaged: remove it, and the same command computes it again") from error

    def add(self, name: str, value: Any) -> None:
        self.values[name] = value
        write_whole(self.path, json.dumps(self.values, indent=1))
