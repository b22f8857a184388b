"""One directory for one configuration: what was asked for (config.yaml), how far it is (last.ckpt), what came out.

The name of the directory follows from the configuration, so that the same command finds its run again: it goes on
from ``last.ckpt``, or says that ``result.json`` is there already.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from assemble import file_locks
from assemble.atomic import remove_torn, write_whole
from assemble.errors import UserError
from assemble.printable import printable
from assemble.ranks import secondary_rank
from assemble.runs.identity import chosen_recipe, locate, plain_config
from assemble.runs.result import has_asked_scores, read_result, write_json, yaml_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

TAKEN, SEEN = 0, 1
"""Bytes of ``.lock`` that a training process locks. Others look at the second alone: looking takes it for a moment,
which must not make a process that comes for the run believe that it is taken."""


@dataclass
class Run:
    """One run's directory. Use it as a context: the lock is given back at the end."""

    directory: Path
    run_id: str
    config_hash: str
    recipe: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    """The whole resolved configuration as plain values, without secrets."""
    _lock: IO[str] | None = None
    _new: bool = False
    _new_parent: bool = False

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

    def name_classes(self, classes: list[str]) -> None:
        """Put the names of the classes, in the order of the outputs, into the configuration and its config.yaml."""
        self.config["classes"] = list(classes)
        if self._lock is not None:
            write_whole(self.directory / "config.yaml", yaml_text(self.config))

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
        made = {path.name for path in self.directory.iterdir() if not path.match("code-*.diff")}
        if self._new and made <= {"config.yaml", ".lock"}:
            shutil.rmtree(self.directory, ignore_errors=True)
            if self._new_parent:
                with suppress(OSError):  # other runs have come
                    self.directory.parent.rmdir()
        self._lock.close()
        self._lock = None


def open_run(cfg: DictConfig) -> Run:
    """Open the run of a configuration: make, lock and describe its directory, unless it is finished already.

    Raises:
        UserError: the directory cannot be written, or another process is training this run.
    """
    config = plain_config(cfg)
    directory, digest = locate(config)
    run = Run(directory, directory.name, digest, chosen_recipe(cfg), config)
    if run.finished or secondary_rank():
        return run
    try:
        run._new, run._new_parent = not run.directory.exists(), not run.directory.parent.exists()
        run.directory.mkdir(parents=True, exist_ok=True)
        run.take()
        damaged = run.directory / "result.json"
        if not run.finished and damaged.exists():
            damaged.replace(damaged.with_suffix(".json.damaged"))
            print(f"{damaged} is damaged: moved aside, the run goes on", file=sys.stderr)
        remove_torn(run.directory)
        write_whole(run.directory / "config.yaml", yaml_text(config))
    except OSError as error:
        run.close()
        reason = error.strerror or error
        raise UserError(
            f"cannot write to {run.directory}: {reason}. Choose another place with output_dir=..."
        ) from error
    return run


def write_result(run: Run, result: dict[str, Any]) -> Path:
    """Write result.json whole or not at all."""
    return write_json(run.directory / "result.json", result)


def describe_run(cfg: DictConfig) -> str:
    """Return which run a configuration would be, and how far that is. Makes nothing."""
    directory, _ = locate(plain_config(cfg))
    holder, result = trained_by(directory), read_result(directory)
    if holder:
        return f"{directory}, which process {holder} is training"
    if result:
        top1 = result["metrics"].get("top1")
        return f"{directory}, finished already" + (f": top-1 {top1:.2f} %" if isinstance(top1, int | float) else "")
    return f"{directory}, {'to go on from last.ckpt' if (directory / 'last.ckpt').is_file() else 'not begun yet'}"


def describe_result(run: Run) -> str:
    """Return lines about a finished run."""
    result = run.result or {}
    metrics = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in result.get("metrics", {}).items()
    )
    told = f"finished already: {run.directory}\n{printable(metrics)}"
    return f"{told}\nTo train it again, remove that directory or change seed=..."


def lock(directory: Path) -> IO[str]:
    """Take a directory for this process. The system gives it back when the process ends, however it ends."""
    # No link: what it points to would be emptied.
    file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | file_locks.NO_LINK, 0o666)
    handle = os.fdopen(file, "r+", encoding="utf-8")
    try:
        taken = file_locks.try_lock(handle, TAKEN)
    except OSError:  # a file system without locks
        handle.close()
        raise
    if not taken:
        holder = handle.read().strip()
        handle.close()
        raise UserError(
            f"{directory} is being worked on by process {holder or 'unknown'} already: wait until it ends, or end it"
        )
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    file_locks.lock(handle, SEEN)
    return handle


def trained_by(directory: Path) -> str | None:
    """Return the other process that trains a directory's run, None if nobody does; not for that process itself."""
    try:
        with (directory / ".lock").open("r", encoding="utf-8") as handle:
            if not file_locks.try_lock(handle, SEEN, shared=True):
                return handle.read().strip() or "unknown"
    except OSError:
        pass  # no such run, or a file system without locks
    return None
