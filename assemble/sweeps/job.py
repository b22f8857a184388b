"""``-m``: each job of a sweep is a process of its own.

Lightning's multi-process training starts the command again for each further device, ``-m`` included, which would run
the whole sweep on each rank; and what one job leaves behind in a process must not reach the next. So the launcher's
process only starts ``train.py`` with the job's overrides, and notes how it went.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.complaints import as_the_user_had_it
from assemble.confidential import redacted
from assemble.errors import UserError
from assemble.file_locks import NO_LINK
from assemble.interrupts import IN_SWEEP, STOPPED
from assemble.paths import make_importable
from assemble.runs.directory import trained_by
from assemble.runs.identity import plain_config, run_directory
from assemble.runs.result import has_asked_scores, read_result
from assemble.runs.sweep_folder import RECORDS
from assemble.sweeps.devices import POOL, leased, pooled

if TYPE_CHECKING:
    from omegaconf import DictConfig

PROGRAM = ("-m", "assemble.programs.train")
MISTAKE = 2
"""Exit code of a job that was refused with ``error: ...``."""

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows the latter ends a process at once
INTERRUPTED = 130
"""Exit code of a job that Ctrl-C or SIGTERM has ended."""

BUSY = 75  # sysexits.h: EX_TEMPFAIL
"""Noted for a job whose run is being trained by another process: by a second sweep, as a rule."""

RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "PL_GLOBAL_SEED")
RANK_PREFIXES = (
    "MASTER_",
    "ROLE_",
    "TORCHELASTIC_",
    # The step, not the allocation: SLURM_JOB_ID or SLURM_TMPDIR may be of use to the job.
    *(
        f"SLURM_{name}"
        for name in ("NTASKS", "NPROCS", "PROCID", "LOCALID", "NODEID", "NNODES", "STEP", "TASK", "SRUN")
    ),
)


def run_job(cfg: DictConfig) -> float:
    """Train one job of the sweep in a process of its own; returns its top-1, for sweepers that search (NaN: none)."""
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    overrides = [str(override) for override in hydra.overrides.task]
    directory = None
    with suppress(UserError):  # the job itself says what is wrong
        directory = run_directory(cfg) if not (cfg.explain or cfg.prepare) else None
    finished = directory is not None and has_asked_scores(read_result(directory), plain_config(cfg))
    process = trained_by(directory) if directory and not finished else None
    why = " (finished already)" if finished else f" (being trained by process {process})" if process else ""
    print(f"job {hydra.job.num}: {' '.join(map(redacted, overrides))}{why}", flush=True)
    # W&B groups the runs of a recipe; those without one by their sweep.
    os.environ.setdefault("WANDB_RUN_GROUP", Path(hydra.sweep.dir).name)
    began = time.monotonic()
    code = INTERRUPTED
    try:
        if finished or process:
            code = BUSY if process else 0
        else:
            with _devices(cfg, hydra.launcher) as environment:
                code = _run([sys.executable, *PROGRAM, *_flags(hydra), *overrides], hydra.runtime.cwd, environment)
            if code == MISTAKE and directory and trained_by(directory):
                code = BUSY  # the other began in the meantime
    except UserError as error:  # the sweep goes on with jobs that have a place here
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = MISTAKE
    finally:
        record = {
            "job": hydra.job.num,
            "overrides": list(map(redacted, overrides)),
            "run_directory": directory and str(directory),
            "exit_code": code,
            "seconds": round(time.monotonic() - began, 3),
        }
        _append(Path(hydra.sweep.dir) / RECORDS, json.dumps(record) + "\n")
    return top1(directory) if code == 0 else math.nan


def top1(directory: Path | None) -> float:
    """Return the top-1 accuracy of a finished run; NaN where there is none."""
    result = read_result(directory) if directory else None
    value = result["metrics"].get("top1") if result else None
    return math.nan if value is None else float(value)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would make the job believe it is a rank of something, or ours."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in RANK_VARIABLES and not name.startswith(RANK_PREFIXES)
    }
    as_the_user_had_it(kept)
    make_importable(kept)
    kept.pop(POOL, None)
    kept[IN_SWEEP] = "1"
    return kept


@contextmanager
def _devices(cfg: DictConfig, launcher: DictConfig) -> Iterator[dict[str, str]]:
    """Hold the devices of a job while it runs, where its launcher lends some, and give what shows it these alone.

    Raises:
        UserError: it takes more than there are.
    """
    pool, count = pooled(), cfg.trainer.devices
    if not pool or cfg.trainer.accelerator == "cpu" or cfg.trainer.num_nodes > 1:
        yield {}
        return
    if len(pool) < count:
        raise UserError(
            f"trainer.devices={count}: there {'is' if len(pool) == 1 else 'are'} {len(pool)} GPU"
            f"{'s' * (len(pool) > 1)} for the jobs of this sweep: ask for fewer, or for trainer.accelerator=cpu"
        )
    with leased(pool, count, launcher.get("per_device", 1)) as devices:
        yield {"CUDA_VISIBLE_DEVICES": ",".join(devices)}


def _flags(hydra: Any) -> list[str]:
    """Return Hydra's flags that change what the overrides mean."""
    flags = [f"--config-name={hydra.job.config_name}"] if hydra.job.config_name != "config" else []
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            flags.append(f"--config-dir={source.path}")
    return flags


def _run(command: Sequence[str], cwd: str, more: Mapping[str, str]) -> int:
    """Run the command to its end, or stop it where this process is stopped.

    Raises:
        SystemExit: this process was interrupted, and the job, which was too, has said so.
    """
    with terminated_as_interrupted():
        child = subprocess.Popen(command, cwd=cwd, env={**child_environment(os.environ), **more})
        try:
            return child.wait()
        except BaseException as reason:
            _stop(child)
            if isinstance(reason, KeyboardInterrupt) and child.returncode in STOPPED:
                raise SystemExit(INTERRUPTED) from None
            raise  # the way in which submitit has a job that was preempted come back, for one


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child, gracefully first.

    Another Ctrl-C goes on to the next, harsher way.
    """
    # Ctrl-C in a terminal has reached the child as well; a signal to this process alone has not.
    ways = ((None, 5), (signal.SIGINT, 120), (signal.SIGTERM, 10), (KILL, None))
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # in the background of a script: so is the child
    for way, patience in ways:
        if way is signal.SIGINT and deaf:
            continue
        try:
            if way is not None:
                child.send_signal(way)
            child.wait(timeout=patience)
            return
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM (a scheduler's, say) stop the job as Ctrl-C does, instead of leaving it behind."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # submitit has its own answer
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _append(path: Path, line: str) -> None:
    """Add a line by a single write, so that jobs which end together do not mix their lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_LINK, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)
