"""How the threads of PyTorch's OpenMP wait for each other. To be said before torch is imported.

By default they spin, which on cores that others use as well keeps those from running that are waited for. Asleep they
cost some microseconds each time that they are woken. PyTorch's wheels for Linux bring GNU's runtime (libgomp), conda
and macOS have LLVM's or Intel's.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

GNU, INTEL = {"OMP_WAIT_POLICY": "PASSIVE"}, {"KMP_BLOCKTIME": "0"}
SAID = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user says how threads wait."""


def wait_asleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads sleep while they wait, in this process and those that it starts, unless the user has said how."""
    if not any(name in environment for name in SAID):
        environment.update(GNU | INTEL)
