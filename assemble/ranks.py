"""The processes of one distributed job: which of them this is, and whether the first one still runs."""

from __future__ import annotations

import os
import threading
import time

PATIENCE = 10.0
"""Seconds that a further rank with an error gives the first one to end: it may have loader workers to wait for."""

_PARENT = os.getppid()
"""Of a rank that Lightning started, this is the first rank."""


FIRST = "ASSEMBLE_FIRST_RANK"
"""In the environment of the ranks that Lightning starts: the process that has started them."""


def end_with_the_first() -> None:
    """End this process soon after the first rank has ended, where Lightning has started this one from there.

    Killed while the others come to it, the first rank would leave them waiting for it for half an hour. It is the one
    that speaks, so they say nothing.
    """
    first = os.environ.get(FIRST)
    if not secondary_rank() or first is None:
        os.environ[FIRST] = str(os.getpid())
        return

    def watch() -> None:
        while os.getppid() == int(first):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def secondary_rank() -> bool:
    """Return True on every rank except rank 0, which owns the run directory and prints."""
    ranks = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))
    return any(rank not in {"", "0"} for rank in ranks)


def one_of_several() -> bool:
    """Return True where a launcher has started several processes of this job at once, as torchrun and srun do."""
    return any(os.environ.get(name, "1") not in {"", "0", "1"} for name in ("WORLD_SIZE", "SLURM_NTASKS"))


def first_rank_ends() -> bool:
    """Wait for the first rank to end as well (or be ended by it, or by torchrun); return False if it does not.

    A failure on all ranks, or one that came from the first, is then told once. A failure of this rank alone leaves the
    first one waiting for it, and must be told here.
    """
    deadline = time.monotonic() + PATIENCE
    while os.getppid() == _PARENT:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
