"""``-m``: each job of a sweep is a process of its own.

Lightning's multi-process training starts the command again for each further device, ``-m`` included, which would run
the whole sweep on each rank; and what one job leaves behind in a process must not reach the next. So the launcher's
process only starts ``train.py`` with the job's overrides, and notes how it went.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.main import as_the_user_had_it
from core.names import ROOT
from core.runs import read_result, run_directory

if TYPE_CHECKING:
    from omegaconf import DictConfig

PROGRAM = ROOT / "train.py"
JOURNAL = "ASSEMBLE_SWEEP_JOURNAL"
"""Where the jobs of this sweep are noted for the summary, whichever process the launcher runs them in."""

INTERRUPTED = 130
"""Exit code of a job that Ctrl-C or SIGTERM has ended."""

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


@contextmanager
def journal() -> Iterator[Path]:
    """An empty journal for as long as a sweep lasts."""
    handle, name = tempfile.mkstemp(prefix="assemble-sweep-", suffix=".jsonl")
    os.close(handle)
    os.environ[JOURNAL] = name
    try:
        yield Path(name)
    finally:
        os.environ.pop(JOURNAL, None)
        Path(name).unlink(missing_ok=True)


def run_job(cfg: DictConfig) -> float:
    """Train one job of the sweep in a process of its own; returns its top-1, for sweepers that search (NaN: none)."""
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    overrides = [str(override) for override in hydra.overrides.task]
    try:
        directory = str(run_directory(cfg))
    except UserError:
        directory = None  # the job itself says what is wrong
    done = directory is not None and not (cfg.explain or cfg.prepare) and read_result(Path(directory)) is not None
    print(f"job {hydra.job.num}: {' '.join(overrides)}{' (finished already)' if done else ''}", flush=True)
    began = time.monotonic()
    code = INTERRUPTED
    try:
        code = 0 if done else _run([sys.executable, str(PROGRAM), *_flags(hydra), *overrides])
    finally:
        record = {
            "job": hydra.job.num,
            "overrides": overrides,
            "run_directory": directory,
            "exit_code": code,
            "seconds": round(time.monotonic() - began, 3),
        }
        line = json.dumps(record) + "\n"
        _append(Path(hydra.sweep.dir) / "jobs.jsonl", line)
        if os.environ.get(JOURNAL):
            _append(Path(os.environ[JOURNAL]), line)
    return _top1(record)


def summarise(noted: Path) -> int:
    """Print the table of the noted jobs. Returns the sweep's exit code: 1 if any job failed."""
    records = print_table(noted)
    failed = sum(record["exit_code"] != 0 for record in records)
    if failed:
        print(f"{failed} of {len(records)} jobs failed; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def print_table(noted: Path) -> list[dict[str, Any]]:
    """Print the table of the noted jobs; returns their records."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    records = [json.loads(line) for line in noted.read_text(encoding="utf-8").splitlines()]
    common = set.intersection(*(set(record["overrides"]) for record in records)) if records else set()
    table = Table()
    for column in ("job", "overrides", "top-1", "seconds", "outcome", "directory"):
        table.add_column(column, overflow="fold")
    for record in sorted(records, key=lambda record: record["job"]):
        code, top1 = record["exit_code"], _top1(record)
        table.add_row(
            str(record["job"]),
            escape(" ".join(o for o in record["overrides"] if o not in common)),  # [x] would be a style
            f"{top1:.2f}" if top1 == top1 else "-",
            f"{record['seconds']:.0f}",
            {0: "ok", INTERRUPTED: "interrupted"}.get(code, f"failed ({code})"),
            record["run_directory"] or "-",
            style="" if code == 0 else "red",
        )
    if records:
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    return records


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would make the job believe it is a rank of something, or ours."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in RANK_VARIABLES and not name.startswith(RANK_PREFIXES) and name != JOURNAL
    }
    as_the_user_had_it(kept)
    return kept


def _flags(hydra: Any) -> list[str]:
    """Hydra's flags that change what the overrides mean."""
    flags = [f"--config-name={hydra.job.config_name}"] if hydra.job.config_name != "config" else []
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            flags.append(f"--config-dir={source.path}")
    return flags


def _run(command: Sequence[str]) -> int:
    """Run the command to its end, or stop it where this process is stopped.

    Raises:
        SystemExit: this process was interrupted, and the job, which was too, has said so.
    """
    with _terminated_as_interrupted():
        child = subprocess.Popen(command, env=child_environment(os.environ))
        try:
            return child.wait()
        except BaseException:
            _stop(child)
            if child.returncode == INTERRUPTED:
                raise SystemExit(INTERRUPTED) from None
            raise


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child, gracefully first. Another Ctrl-C goes on to the next, harsher way."""
    # Ctrl-C in a terminal has reached the child as well; a signal to this process alone has not.
    ways = ((None, 5), (signal.SIGINT, 120), (signal.SIGTERM, 10), (signal.SIGKILL, None))
    for way, patience in ways:
        try:
            if way is not None:
                child.send_signal(way)
            child.wait(timeout=patience)
            return
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM (a scheduler's, say) stops the job as Ctrl-C does, instead of leaving it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _append(path: Path, line: str) -> None:
    """Add a line by a single write, so that jobs which end together do not mix their lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _top1(record: Mapping[str, Any]) -> float:
    """The job's top-1 accuracy; NaN where it has none."""
    if record["exit_code"] != 0 or record["run_directory"] is None:
        return float("nan")
    result = read_result(Path(record["run_directory"])) or {}
    top1 = result.get("metrics", {}).get("top1")
    return float("nan") if top1 is None else float(top1)
