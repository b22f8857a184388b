"""One directory for one configuration: what was asked for (config.yaml), how far it is (last.ckpt), what came out.

The name of the directory follows from the configuration, so that the same command finds its run again: it goes on
from ``last.ckpt``, or says that ``result.json`` is there already.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from core.cli import active_tricks
from core.errors import UserError
from core.files import whole_file
from core.ranks import secondary_rank

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

TAKEN, SEEN = 0, 1
"""Bytes of ``.lock`` that a training process locks. Others look at the second alone: looking takes it for a moment,
which must not make a process that comes for the run believe that it is taken."""

LONGEST = 48
"""Characters that the tricks' names may take in a run's name before they are abbreviated."""


@dataclass
class Run:
    """One run's directory. Use it as a context: the lock is given back at the end."""

    directory: Path
    run_id: str
    config_hash: str
    recipe: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    """The whole resolved configuration as plain values."""
    _lock: IO[str] | None = None
    _new: bool = False

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint to go on from, if there is one."""
        path = self.directory / "last.ckpt"
        return path if path.is_file() else None

    @property
    def result(self) -> dict[str, Any] | None:
        """What result.json says, if it is there and whole: the run is finished then."""
        return read_result(self.directory)

    @property
    def finished(self) -> bool:
        """Is there a whole result.json?"""
        return self.result is not None

    @property
    def complete(self) -> bool:
        """Is the run finished, with the scores that the configuration asks for?"""
        return has_asked_scores(self.result, self.config)

    def take(self) -> None:
        """Hold the run for this process, unless it is held already.

        Raises:
            UserError: another process has it.
        """
        if self._lock is None:
            self._lock = lock(self.directory)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the run. A new directory in which nothing happened is removed."""
        if self._lock is None:
            return
        if self._new and {path.name for path in self.directory.iterdir()} <= {"config.yaml", ".lock"}:
            shutil.rmtree(self.directory, ignore_errors=True)
        self._lock.close()
        self._lock = None


def open_run(cfg: DictConfig) -> Run:
    """The run of a configuration: its directory made, locked and described, unless it is finished already.

    Raises:
        UserError: the directory cannot be written, or another process is training this run.
    """
    config = plain_config(cfg)
    digest = _digest(config)
    run_id = _run_id(config, digest)
    run = Run(Path(cfg.output_dir).expanduser() / run_id, run_id, digest, _recipe(), config)
    if run.finished or secondary_rank():
        return run
    try:
        run._new = not run.directory.exists()
        run.directory.mkdir(parents=True, exist_ok=True)
        run.take()
        damaged = run.directory / "result.json"
        if not run.finished and damaged.exists():
            damaged.replace(damaged.with_suffix(".json.damaged"))
            print(f"{damaged} is damaged: moved aside, the run goes on", file=sys.stderr)
        _write(run.directory / "config.yaml", yaml_text(config))
    except OSError as error:
        run.close()
        reason = error.strerror or error
        raise UserError(
            f"cannot write to {run.directory}: {reason}. Choose another place with output_dir=..."
        ) from error
    return run


def run_id(cfg: DictConfig) -> str:
    """The run's name: model, tricks, seed, and a hash of all that matters to the result."""
    config = plain_config(cfg)
    return _run_id(config, _digest(config))


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


def asked_robustness(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of ``eval`` that robustness scores depend on, None where none are asked for."""
    asked = config["eval"]
    if not asked.get("corruptions"):
        return None
    on_the_fly = asked["corruptions"] == "on_the_fly"
    keys = ("extra", "preset", "jpeg") if on_the_fly else ("root",)
    settings = {"corruptions": asked["corruptions"], **{key: asked[f"corruptions_{key}"] for key in keys}}
    return {**settings, "frost_textures": asked["frost_textures"]} if on_the_fly else settings


def has_asked_scores(result: Mapping[str, Any] | None, config: Mapping[str, Any]) -> bool:
    """Is there a result, with the scores that the configuration asks for?"""
    return result is not None and not (lacks_robustness(result, config) or lacks_throughput(result, config))


def lacks_robustness(result: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Does the configuration ask for a robustness that the result has not?"""
    asked = asked_robustness(config)
    return asked is not None and result.get("robustness", {}).get("settings") != asked


def lacks_throughput(result: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Does the configuration ask for a throughput that the result has not?"""
    return bool(config["eval"].get("throughput")) and "throughput" not in result


def read_result(directory: Path, name: str = "result.json") -> dict[str, Any] | None:
    """The result.json of a directory, or its evaluation.json, if it is there and whole."""
    try:
        result = json.loads((directory / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and isinstance(result.get("metrics"), dict) else None


def write_result(run: Run, result: dict[str, Any]) -> Path:
    """Write result.json whole or not at all."""
    return write_json(run.directory / "result.json", result)


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write the whole file or none of it. Numbers that are not finite become null, which JSON can say."""
    _write(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")
    return path


def describe_result(run: Run) -> str:
    """Lines about a finished run."""
    result = run.result or {}
    metrics = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in result.get("metrics", {}).items()
    )
    return f"finished already: {run.directory}\n{metrics}\nTo train it again, remove that directory or change seed=..."


def _digest(config: dict[str, Any]) -> str:
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


def _run_id(config: dict[str, Any], digest: str) -> str:
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


def _recipe() -> str | None:
    """The recipe that was chosen, where Hydra runs."""
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get().runtime.choices.get("recipe") if HydraConfig.initialized() else None


def lock(directory: Path) -> IO[str]:
    """Take a directory for this process. The system gives it back when the process ends, however it ends."""
    handle = (directory / ".lock").open("a+", encoding="utf-8")
    try:
        # A record lock, not flock: loader workers that outlive a killed run for a moment must not keep it.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, TAKEN)
    except OSError as error:
        handle.seek(0)
        holder = handle.read().strip()
        handle.close()
        if not isinstance(error, BlockingIOError | PermissionError):
            raise  # a file system without locks, for one
        raise UserError(
            f"{directory} is being worked on by process {holder or 'unknown'} already: wait until it ends, or end it"
        ) from None
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    fcntl.lockf(handle, fcntl.LOCK_EX, 1, SEEN)
    return handle


def trained_by(directory: Path) -> str | None:
    """The other process that is training the run of a directory; None if nobody is. Not for that process itself."""
    try:
        with (directory / ".lock").open("r", encoding="utf-8") as handle:
            try:
                fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, SEEN)
            except (BlockingIOError, PermissionError):
                return handle.read().strip() or "unknown"
    except OSError:
        pass  # no such run, or a file system without locks
    return None


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())


def yaml_text(config: Mapping[str, Any]) -> str:
    """The content of a config.yaml."""
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
