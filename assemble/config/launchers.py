"""Hydra's launchers, with defaults for jobs that train: hours long, each a process that wants cores of its own."""

from __future__ import annotations

from dataclasses import make_dataclass
from importlib.util import find_spec
from typing import Any

from assemble.errors import UserError

PACKAGES = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "submitit_slurm": "hydra_submitit_launcher",
    "ray": "hydra_ray_launcher",
}
"""Launcher -> the package in ``hydra_plugins`` that brings it."""

# A job goes on from its last checkpoint, so a time limit costs no more than what came after that.
_SUBMITIT = {"timeout_min": 3 * 24 * 60, "name": "assemble"}

DEFAULTS: dict[str, dict[str, Any]] = {
    # 0 jobs: as many as this machine has GPUs for, two where it has none. Dealt out one by one: a finished one returns
    # at once, which would make joblib believe that jobs are short.
    "joblib": {
        "_target_": "hydra_plugins.assemble.JoblibLauncher",
        "n_jobs": 0,
        "pre_dispatch": "n_jobs",
        "batch_size": "1",
        "per_device": 1,
    },
    "submitit_local": {**_SUBMITIT, "_target_": "hydra_plugins.assemble.LocalLauncher", "per_device": 1},
    "submitit_slurm": {**_SUBMITIT, "max_num_timeout": 100},
    "ray": {"_target_": "hydra_plugins.assemble.RayLauncher", "ray": {"init": {"include_dashboard": False}}},
}
"""What differs from the launchers' own defaults; ``per_device``, jobs that share a GPU, is ours."""


def check_launcher(name: str) -> None:
    """Refuse a launcher whose package is missing.

    Raises:
        UserError: names the extra that has it.
    """
    package = PACKAGES.get(name)
    if package and find_spec(f"hydra_plugins.{package}") is None:
        extra = name.partition("_")[0]
        raise UserError(f"hydra/launcher={name} needs a package: pip install -e '.[{extra}]'")


def register_launchers() -> None:
    """Give the launchers that are installed our defaults, and Hydra's own, which runs one job after another, a name."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    Plugins.instance()  # they register themselves when they are found
    store = ConfigStore.instance()
    known = store.list("hydra/launcher")
    basic = store.load("hydra/launcher/basic.yaml").node
    store.store(group="hydra/launcher", name="local", node=basic, provider="launchers")
    for name, ours in DEFAULTS.items():
        if f"{name}.yaml" in known:
            theirs = store.load(f"hydra/launcher/{name}.yaml")
            node = theirs.node
            if "per_device" in ours and "per_device" not in node:
                kind: Any = OmegaConf.get_type(node)
                node = OmegaConf.structured(make_dataclass("Launcher", [("per_device", int, 1)], bases=(kind,)))
            node = OmegaConf.merge(node, ours)
            store.store(group="hydra/launcher", name=name, node=node, provider=theirs.provider)
