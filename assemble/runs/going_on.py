"""Whether a run may go on from its checkpoint: with the data it began with, and with the batches of its batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from assemble.errors import UserError
from assemble.planning.plan import Plan
from assemble.runs.identity import differing_keys
from assemble.yaml_files import read_yaml

NEAR = 2
"""Keys in which a run may differ from a new one and still be named to it."""


def check_same_run(checkpoint: Mapping[str, Any], plan: Plan, path: Path) -> None:
    """Compare what a checkpoint says of its run with what is about to go on. One of an earlier version says nothing.

    Raises:
        UserError: other data, or other micro-batches for a network whose batch norm sees them.
    """
    about, data, trainer = checkpoint.get("about") or {}, plan.data, plan.cfg.trainer
    if data is not None and about.get("data", data.identity.digest) != data.identity.digest:
        changed = _what_changed(checkpoint, data.identity.classes)
        raise UserError(
            f"the data is not the data that {path} was trained on ({changed}): put it back, or begin anew with another "
            "output_dir=..."
        )
    before, now = about.get("micro_batch", plan.batch.micro), plan.batch.micro
    if before != now and not trainer.allow_other_micro_batch and not trainer.sync_batchnorm and _has_batch_norm(plan):
        raise UserError(
            f"{path} was trained in micro-batches of {before} images, and batch norm would now see {now}: take devices "
            "and trainer.accumulate_grad_batches that give the same, or say trainer.allow_other_micro_batch=true"
        )


def near_matches(config: Mapping[str, Any], directory: Path) -> list[str]:
    """Name the runs beside a new one that differ from it in one or two keys: perhaps one of them was meant.

    Args:
        config: the new run's resolved configuration.
        directory: its directory.
    """
    prefix = directory.name.rpartition("-")[0]
    found = []
    for other in sorted(directory.parent.glob(f"{prefix}-*/config.yaml")):
        if other.parent == directory:
            continue
        try:
            keys = differing_keys(config, read_yaml(other))
        except (OSError, ValueError, AttributeError, yaml.YAMLError):
            continue  # damaged: no concern of this run
        if len(keys) <= NEAR:
            found.append(f"{other.parent} differs only in {' and '.join(keys) or 'its data'}")
    return found


def _what_changed(checkpoint: Mapping[str, Any], classes: tuple[str, ...]) -> str:
    before = (checkpoint.get("config") or {}).get("classes") or []
    gone, new = [n for n in before if n not in classes], [n for n in classes if n not in before]
    parts = [f"{what} {', '.join(names[:3])}" for what, names in (("gone:", gone), ("new:", new)) if names and before]
    return "; ".join(["classes " + ", ".join(parts)] if parts else ["files were added, removed or changed"])


def _has_batch_norm(plan: Plan) -> bool:
    import torch

    with torch.device("meta"):
        network = plan.recipe.spec.build()
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
