"""Where a row comes from: its command, its settings, its runs, and where trackers have them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from assemble.json_files import is_mapping
from assemble.reporting.differences import flat, plain, text
from assemble.reporting.read import Run
from assemble.reporting.table import Row
from assemble.schema import Config


@dataclass(frozen=True)
class Tracked:
    """A run in a tracker: words, and its address where there is one."""

    words: str
    address: str = ""


@dataclass(frozen=True)
class Source:
    """What a row was made by."""

    command: str
    """That of the first run; empty where it is not known."""
    settings: str
    """Those that matter to the result and are no defaults, as one would type them."""
    runs: list[tuple[str, list[Tracked]]]
    """Directory, and where else the run is found."""


def source(row: Row) -> Source:
    """Return where a row comes from."""
    command = next((str(run.result["command"]) for run in row.runs if run.result.get("command")), "")
    settings = [f"{key}={text(value)}" for key, value in _settings(row.config).items()]
    return Source(command, " ".join(settings), [(run.directory.as_posix(), list(tracked(run))) for run in row.runs])


def tracked(run: Run) -> Iterator[Tracked]:
    """Say where trackers have a run, as far as its directory and its configuration tell."""
    loggers = run.config.get("logger") or {}
    here = run.directory
    if "wandb" in loggers or (here / "wandb").is_dir():
        given = loggers.get("wandb")
        yield _wandb(run, given if is_mapping(given) else {})
    try:
        number = (here / "mlflow_run").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        number = ""
    if number:
        yield Tracked(f"MLflow run {number}")
    if (here / "tensorboard").is_dir():
        yield Tracked(f"tensorboard --logdir {here / 'tensorboard'}")


def _wandb(run: Run, logger: Any) -> Tracked:
    offline = sorted(path.as_posix() for path in (run.directory / "wandb").glob("offline-run-*"))
    if offline:
        return Tracked(f"wandb sync {offline[-1]}")
    project, entity = (str(logger.get(key) or "") for key in ("project", "entity"))
    name = "/".join(part for part in (entity, project, run.run_id) if part)
    host = os.environ.get("WANDB_BASE_URL", "https://wandb.ai").rstrip("/").replace("://api.wandb.ai", "://wandb.ai")
    known = project and entity and host.startswith(("http://", "https://"))
    parts = [quote(part, safe="") for part in (entity, project, "runs", run.run_id)]
    return Tracked(f"W&B {name}", "/".join([host, *parts]) if known else "")


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    defaults = _defaults()
    return {k: v for k, v in flat(config).items() if k not in defaults or plain(v) != plain(defaults[k])}


@cache
def _defaults() -> dict[str, Any]:
    return flat(json.loads(json.dumps(asdict(Config()), default=lambda value: getattr(value, "value", str(value)))))
