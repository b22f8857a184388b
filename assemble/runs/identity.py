"""What makes two runs the same one: the hash of a configuration, and the run's name."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.confidential import redacted
from assemble.config.selection import active_tricks
from assemble.dotted import flat
from assemble.plugins import called
from assemble.schema import Config, DataConfig

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
    "plugins",  # what is chosen from them is there by itself
    "data.num_workers",
    "data.download",
    "data.cache",
    "data.cache_dir",
    "data.cache_limit",
    "data.verify",
    "data.on_bad_image",  # the digest of the data is of those images that stay
    "data.classes",  # and of the classes
    "trainer.log_every_n_steps",
    "trainer.monitors",
    "trainer.progress_bar",
    "trainer.checkpoint_minutes",
    # What only moves the work: the global batch stays.
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.accumulate_grad_batches",
    "trainer.allow_other_micro_batch",
    # What is scored of a network that is trained already: a finished run is asked for it later (finished_run.py).
    "eval.corruptions",
    "eval.corruptions_root",
    "eval.corruptions_extra",
    "eval.corruptions_preset",
    "eval.corruptions_jpeg",
    "eval.frost_textures",
    "eval.throughput",
    # Stand in the run's name by themselves: repetitions with other seeds, and on other folds, share their hash.
    "seed",
    "data.fold",
    "tag",
)
"""Keys that are not in the hash. ``drop`` is applied before: a dropped trick is as good as one never listed."""
RULE = 2
"""Which rule makes the hash; in result.json."""
LONGEST = 48
"""Characters that the tricks' names may take in a run's name before they are abbreviated."""


def run_id(cfg: DictConfig) -> str:
    """Return the run's name: model, data, tricks, seed, tag, and a hash of all that matters to the result."""
    return locate(plain_config(cfg))[0].name


def run_directory(cfg: DictConfig) -> Path:
    """Return where the run of a configuration is or will be."""
    return locate(plain_config(cfg))[0]


def locate(config: dict[str, Any]) -> tuple[Path, str]:
    """Return the directory of a configuration's run, and its hash: as of today, or as an earlier version had them."""
    folder, digest = Path(config["output_dir"]).expanduser(), config_hash(config)
    directory = folder / run_name(config, digest)
    if config.get("tag") or directory.is_dir():
        return directory, digest
    earlier = ((folder / former_name(config, before), before) for before in (digest, first_hash(config)))
    return next((found for found in earlier if found[0].is_dir()), (directory, digest))


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain values, interpolations resolved, ``drop`` applied, secrets left out."""
    from omegaconf import OmegaConf

    from assemble.confidential import without_secrets

    config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True, enum_to_str=True)
    config["tricks"] = {name: config["tricks"][name] for name in active_tricks(cfg)}
    config["drop"] = []
    return without_secrets(config, cfg)


def config_hash(config: dict[str, Any]) -> str:
    """Return eight hex digits of all that matters to the result, by rule `RULE`.

    That is what differs from the defaults, so that a key which a later version adds changes no name. Of the data, of
    weights that a run starts from and of files that tricks read it is the content that counts, wherever they lie.
    """
    import tricks
    from assemble.data.identity import data_digest  # needs OpenCV, which a report does without

    config = _plain(config)
    defaults = _defaults()
    kept = {
        group: _difference(config[group], defaults[group]) for group in ("model", "data", "optim", "trainer", "eval")
    }
    if not isinstance(config["trainer"].get("limit_train_batches", 1.0), float):
        kept["trainer"]["limit_train_batches"] = config["trainer"]["limit_train_batches"]  # 1 is not 1.0: one step
    if config["trainer"].get("max_steps"):
        kept["trainer"].pop("max_epochs", None)  # which takes its place
    if config.get("callbacks"):
        kept["callbacks"] = config["callbacks"]
    for key in EXCLUDED:
        group, _, name = key.partition(".")
        kept.get(group, {}).pop(name, None)
    data = data_digest(_data_config(config))
    kept["data"] |= {"root": config["data"]["root"]} if data is None else {"root": None, "digest": data}
    if "checkpoint" in kept["model"]:
        kept["model"]["checkpoint"] = _content(config["model"]["checkpoint"])
    kept["tricks"] = {}
    for name, parameters in config["tricks"].items():
        own = _difference(parameters, _plain_node(tricks.node_of(name)))
        places = tricks.places_of(name)
        kept["tricks"][name] = {key: bool(v) if key in places else _content(v) for key, v in own.items()}
    return hex_digits({"rule": RULE, **kept})


def _defaults() -> dict[str, Any]:
    from omegaconf import OmegaConf

    return _plain_node(OmegaConf.structured(Config))


def _plain_node(node: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    return _plain(OmegaConf.to_container(node, enum_to_str=True))


def _plain(value: Any) -> dict[str, Any]:
    """Return what JSON can say: tuples become lists, as they are in a configuration that was read."""
    return json.loads(json.dumps(value, default=str))


def _difference(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in defaults or value != defaults[key]}


def _data_config(config: Mapping[str, Any]) -> DataConfig:
    from omegaconf import OmegaConf

    data: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(DataConfig), config["data"]))
    return data


def differing_keys(config: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List the keys that matter to the result in which two resolved configurations differ."""
    one, two = flat(_plain(config)), flat(_plain(other))
    keys = [key for key in sorted(one.keys() | two.keys()) if one.get(key) != two.get(key)]
    apart = {*EXCLUDED, "classes", "drop", "data.root"}
    return [key for key in keys if key not in apart and key.partition(".")[0] not in apart]


ADDED = (
    "classes",
    "callbacks",
    "trainer.max_steps",
    "trainer.val_every_epochs",
    "trainer.overfit_batches",
    "trainer.args",
    "trainer.checkpoint_minutes",
    "trainer.allow_other_micro_batch",
    "data.val_share",
    "data.val_share_seed",
    "data.folds",
    "data.fold_seed",
    "data.vflip",
    "data.border",
    "data.train_interpolation",
    "data.eval_squeeze",
    "data.exif_orientation",
    "data.white",
    "data._target_",
    "data.args",
    "model._target_",
    "model.args",
    "model.pretrained",
)
"""Keys that came after the first rule, by which every key was hashed."""
MOVED = ("trainer.devices", "trainer.num_nodes", "trainer.accumulate_grad_batches")
"""Keys that the first rule hashed and the second does not."""


def first_hash(config: dict[str, Any]) -> str:
    """Return the hash by the first rule, for runs of earlier versions."""
    import tricks

    kept = _plain(config)
    kept["model"]["checkpoint"] = _content(kept["model"]["checkpoint"])
    for name, parameters in kept["tricks"].items():
        later = _plain({k: getattr(v, "value", v) for k, v in tricks.later_parameters(name).items()})
        for key in later.keys() & parameters.keys():
            if parameters[key] == later[key]:  # else no earlier run is like it
                del parameters[key]
        parameters |= {key: _content(value) for key, value in parameters.items() if isinstance(value, str)}
    defaults = _defaults()
    for key in {*EXCLUDED, *ADDED} - {*MOVED}:
        *parents, last = key.split(".")
        node, default = kept, defaults
        for parent in parents:
            node, default = node.get(parent, {}), default.get(parent, {})
        if key in EXCLUDED or node.get(last) == default.get(last, node.get(last)):  # else no earlier run is like it
            node.pop(last, None)
    return hex_digits(kept)


def hex_digits(settings: Mapping[str, Any]) -> str:
    """Return eight hex digits of what JSON can say, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _content(path: Any) -> Any:
    """Return SHA-256 of a file; where there is none, the path as it came: who wants to read it says so."""
    if not isinstance(path, str):
        return path
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return path


def run_name(config: dict[str, Any], digest: str) -> str:
    """Return the name of a run's directory, whose last part is the hash."""
    tag = [config["tag"]] if config.get("tag") else []
    parts = [
        called(config["model"]),
        called(config["data"]),
        _tricks_in_name(config),
        repetition(config),
        *tag,
        digest,
    ]
    return "-".join(parts)


def former_name(config: dict[str, Any], digest: str) -> str:
    """Return the name as it was before it had the data's in it."""
    return f"{called(config['model'])}-{_tricks_in_name(config)}-{repetition(config)}-{digest}"


def _tricks_in_name(config: dict[str, Any]) -> str:
    names = sorted(config["tricks"])
    tricks = "-".join(names)
    if len(tricks) > LONGEST:
        tricks = "-".join("".join(w[0] for w in n.split("_")) if "_" in n else n[:3] for n in names)
    if len(tricks) > LONGEST:
        tricks = f"{len(names)}tricks"
    return tricks or "plain"


def repetition(config: Mapping[str, Any]) -> str:
    """Return what tells runs apart whose hash is the same, as it stands in their names: the seed, and the fold."""
    fold = (config.get("data") or {}).get("fold")
    return f"s{config.get('seed')}" + ("" if fold is None else f"f{fold}")


def command() -> str | None:
    """Return the command that started this run, where Hydra runs: without the options of Hydra's own."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return None
    return shlex.join(["python", "train.py", *map(redacted, HydraConfig.get().overrides.task)])


RECIPE = "assemble.recipe"
"""Under which a configuration composed from Python keeps its recipe, in the cache that OmegaConf copies with it."""


def chosen_recipe(cfg: DictConfig) -> str | None:
    """Return the recipe that was chosen, from Python or where Hydra runs."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    kept = OmegaConf.get_cache(cfg)
    if RECIPE in kept:
        return kept[RECIPE]
    return HydraConfig.get().runtime.choices.get("recipe") if HydraConfig.initialized() else None
