"""A program of ours, train.py or that of ``PROGRAM``, to which something happens as its environment says.

``FAULT="moment, what"``: a signal, for one, at a moment of `MOMENTS` of a training. Where the process has not ended
half a minute later, it ends with `TOO_LATE`, so that no test looks at a clock. ``FILE_LIMIT``: the bytes that a file
may have, as by ``ulimit -f``.
"""

from __future__ import annotations

import functools
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

PATIENCE = 30
"""Seconds until a run that is ended must have ended."""
TOO_LATE = 99
"""Exit code of a run that takes longer."""
SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")
MOMENTS = ("start", "fit", "step", "validation", "checkpoint", "test", "after")
"""While the network is built, before the first step, in the second step, in the first validation, while a checkpoint is
being written, in the first test batch, and while result.json is being written."""


def _places() -> dict[str, tuple[Any, str, int]]:
    """Return moment -> the function in which it comes, and at which of its calls."""
    import torch

    from assemble.runs import fit
    from lit_modules.classifier import Classifier

    return {
        "start": (fit, "build_module", 1),
        "rendezvous": (torch.distributed, "init_process_group", 1),
        "fit": (Classifier, "configure_optimizers", 1),
        "step": (Classifier, "training_step", 2),
        "validation": (Classifier, "validation_step", 1),
        "checkpoint": (torch, "save", 1),
        "test": (Classifier, "test_step", 1),
        "after": (fit, "write_result", 1),
    }


def _happen(what: str) -> None:
    late = threading.Timer(PATIENCE, lambda: os._exit(TOO_LATE))
    late.daemon = True
    late.start()
    if what == "remove":
        for run in Path("runs").iterdir():
            shutil.rmtree(run)
    elif what == "end worker":
        pid = os.getpid()
        os.kill(int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[-1]), signal.SIGKILL)
        time.sleep(PATIENCE)
    elif what.startswith("group "):
        os.killpg(0, signal.Signals[what.removeprefix("group ")])
    else:
        os.kill(os.getpid(), signal.Signals[what])


def _at(owner: Any, name: str, call: int, act: Callable[[], None]) -> None:
    inner, calls = getattr(owner, name), count(1)

    @functools.wraps(inner)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            act()
        return inner(*args, **kwargs)

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    moment, _, what = os.environ.get("FAULT", "").partition(", ")
    if moment and os.environ.get("LOCAL_RANK", "0") == os.environ.get("FAULT_RANK", "0"):
        _at(*_places()[moment], lambda: _happen(what))
    if "STOPPING_PATIENCE" in os.environ:
        from lit_modules import stopping

        stopping.PATIENCE = float(os.environ["STOPPING_PATIENCE"])
    if "FILE_LIMIT" in os.environ:
        limit = int(os.environ["FILE_LIMIT"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    import_module(f"assemble.programs.{os.environ.get('PROGRAM', 'train')}").main()
