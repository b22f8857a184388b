"""Directories of finished runs that nobody trained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from assemble.runs.identity import config_hash, run_name
from assemble.schema import Config

OF_RUN = {"run_id": "tiny-plain-s0-12345678", "config_hash": "12345678", "seed": 0, "tricks": []}
"""What every result.json has beside its metrics."""


def default_config() -> dict[str, Any]:
    """The schema's defaults as config.yaml has them."""
    return json.loads(json.dumps(dataclasses.asdict(Config()), default=lambda value: value.value))


def make_run(
    folder: Path,
    tricks: Sequence[str] = (),
    seed: int = 0,
    top1: float | None = 50.0,
    *,
    config: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    curve: Sequence[float] = (),
    training: Sequence[float] = (),
    finished: bool = True,
    **result: Any,
) -> Path:
    """Write the directory of one run; returns it. ``curve``, ``training``: top-1 after each epoch."""
    whole: dict[str, Any] = deepcopy(dict(config or default_config()))
    whole["tricks"] = {name: (config or {}).get("tricks", {}).get(name, {}) for name in tricks}
    whole["seed"] = seed
    digest = config_hash(whole)
    directory = folder / run_name(whole, digest)
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.dump(whole, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    (directory / ".lock").touch()
    if curve:
        seen = [f"{epoch},{10 * (epoch + 1)},,{value}" for epoch, value in enumerate(training)]
        rows = [f"{epoch},{10 * (epoch + 1)},{value}," for epoch, value in enumerate(curve)]
        (directory / "metrics.csv").write_text("\n".join(["epoch,step,val/top1,train/top1", *seen, *rows]) + "\n")
    if finished:
        content = {
            "run_id": directory.name,
            "recipe": None,
            "tricks": list(tricks),
            "data": whole["data"]["name"],
            "seed": seed,
            "metrics": {"top1": top1, "top5": 90.0, "loss": 1.0, "ece": 3.0, **(metrics or {})},
            "params": 44370,
            "macs": 6_775_104 * (1 + len(tricks)),
            "epochs": whole["trainer"]["max_epochs"],
            "train_seconds": 30.0,
            "config_hash": digest,
            "git_commit": "0" * 40,
            **result,
        }
        (directory / "result.json").write_text(json.dumps(content))
    return directory
