"""The GPUs of this machine, lent to the jobs of its sweeps: each job sees those alone that it has a lease of.

A lease is a lock, which the system gives back when the launcher's process that holds it ends, however it ends. All
sweeps of a user on a machine take theirs from the same place.
"""

from __future__ import annotations

import getpass
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from assemble.file_locks import try_lock

POOL = "ASSEMBLE_DEVICES"
"""In the environment of a launcher's processes: the devices that its jobs are lent, with commas between them."""
SECONDS = 1.0
"""Between two looks for a device that is free."""


def devices_here(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs that may be used here: the user's own CUDA_VISIBLE_DEVICES, or all.

    Asks the driver's program and not torch: CUDA, once begun in a process, does not outlive its fork.
    """
    if "CUDA_VISIBLE_DEVICES" in environment:
        named = [name.strip() for name in environment["CUDA_VISIBLE_DEVICES"].split(",")]
        return [name for name in named if name not in {"", "-1", "NoDevFiles"}]
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(place) for place, _ in enumerate(line for line in told.splitlines() if line.startswith("GPU "))]


def pooled(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the devices that a launcher has for its jobs; none where it leaves them to others, or there are none."""
    return [name for name in environment.get(POOL, "").split(",") if name]


def places(pool: Sequence[str], count: int, per_device: int) -> int:
    """Return how many jobs of ``count`` devices each can run at once."""
    return len(pool) // count * per_device


@contextmanager
def leased(pool: Sequence[str], count: int, per_device: int = 1, folder: Path | None = None) -> Iterator[list[str]]:
    """Hold ``count`` devices that are neighbours in the pool, as soon as they are free.

    Args:
        pool: the devices, at least ``count``.
        count: of one job.
        per_device: jobs that may share a device.
        folder: of the locks; None: one of the user's in the folder for temporary files.
    """
    folder = folder or Path(tempfile.gettempdir(), f"assemble-devices-{getpass.getuser()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    groups = [list(pool[place : place + count]) for place in range(0, len(pool) - count + 1, count)]
    while True:
        for slot in range(per_device):
            for group in groups:
                with ExitStack() as files:
                    opened = (files.enter_context((folder / name.replace("/", "_")).open("a+")) for name in group)
                    if all(try_lock(file, slot) for file in opened):
                        yield group
                        return
        time.sleep(SECONDS)
