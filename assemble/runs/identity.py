"""What makes two runs the same one: the hash of a configuration, and the run's name."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.config.selection import active_tricks

if TYPE_CHECKING:
    from omegaconf import DictConfig


EXCLUDED = (
    # What changes nothing about the result, and so must not begin another run.
    "logger",
    "explain",
    "plot",
    "prepare",
    "output_dir",
    "reported",
    "data.num_workers",
    "data.download",
    "trainer.log_every_n_steps",
    "trainer.progress_bar",
    # What is scored of a network that is trained already: a finished run is asked for it later (core/later.py).
    "eval.corruptions",
    "eval.corruptions_root",
    "eval.corruptions_extra",
    "eval.corruptions_preset",
    "eval.corruptions_jpeg",
    "eval.frost_textures",
    "eval.throughput",
    # Stands in the run's name by itself: repetitions with other seeds share their hash.
    "seed",
)
"""Keys that are not in the hash. ``drop`` is applied before: a dropped trick is as good as one never listed."""
LONGEST = 48
"""Characters that the tricks' names may take in a run's name before they are abbreviated."""


def run_id(cfg: DictConfig) -> str:
    """The run's name: model, tricks, seed, and a hash of all that matters to the result."""
    config = plain_config(cfg)
    return run_name(config, config_hash(config))


def run_directory(cfg: DictConfig) -> Path:
    """Where the run of a configuration is or will be."""
    return Path(cfg.output_dir).expanduser() / run_id(cfg)


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """The whole configuration as plain values, interpolations resolved and ``drop`` applied."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True, enum_to_str=True)
    config["tricks"] = {name: config["tricks"][name] for name in active_tricks(cfg)}
    config["drop"] = []
    return config


def config_hash(config: dict[str, Any]) -> str:
    """Eight hex digits of the configuration; the order in which tricks were listed does not matter.

    Of the weights that a run starts from, and of the files that tricks read, it is the content that counts, wherever
    the file lies.
    """
    kept = json.loads(json.dumps(config, default=str))
    kept["model"]["checkpoint"] = _content(kept["model"]["checkpoint"])
    for parameters in kept["tricks"].values():
        parameters |= {key: _content(value) for key, value in parameters.items() if isinstance(value, str)}
    for key in EXCLUDED:
        *parents, last = key.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent, {})
        node.pop(last, None)
    return hex_digits(kept)


def hex_digits(settings: Mapping[str, Any]) -> str:
    """Eight hex digits of what JSON can say, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _content(path: str | None) -> str | None:
    """SHA-256 of a file. As it came where there is none: who wants to read it says so."""
    if path is None:
        return None
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return path


def run_name(config: dict[str, Any], digest: str) -> str:
    names = sorted(config["tricks"])
    tricks = "-".join(names)
    if len(tricks) > LONGEST:
        tricks = "-".join("".join(w[0] for w in n.split("_")) if "_" in n else n[:3] for n in names)
    if len(tricks) > LONGEST:
        tricks = f"{len(names)}tricks"
    return f"{config['model']['name']}-{tricks or 'plain'}-s{config['seed']}-{digest}"


def command() -> str | None:
    """The command that started this run, where Hydra runs: without the options of Hydra's own."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return None
    return shlex.join(["python", "train.py", *HydraConfig.get().overrides.task])


def chosen_recipe() -> str | None:
    """The recipe that was chosen, where Hydra runs."""
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get().runtime.choices.get("recipe") if HydraConfig.initialized() else None
