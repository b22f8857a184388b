"""Two machines in the shape of two network namespaces, joined by a cable (veth) and by nothing else of the network.

Needs root, and ``ip`` (``apt-get install iproute2``).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ADDRESSES = ("10.213.7.1", "10.213.7.2")
CABLE = "assemble0"


def missing() -> str | None:
    """Return why there can be no namespaces here, None where there can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "network namespaces are made as root"
    if not shutil.which("ip"):
        return "no ip: apt-get install iproute2"
    probe = f"assemble-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return None if made.returncode == 0 else "ip netns is not allowed"


class Networks:
    """The two, from `start` to `stop`; a process in one is started by `popen`."""

    def __init__(self) -> None:
        self.names = [f"assemble-{os.getpid()}-{number}" for number in range(2)]
        self.jobs: list[list[subprocess.Popen[str]]] = [[], []]

    def start(self) -> None:
        ends = [f"as{os.getpid()}{side}"[-15:] for side in "ab"]
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(self.names, ends, ADDRESSES, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", CABLE)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", CABLE)
            for device in ("lo", CABLE):
                ip("-n", name, "link", "set", device, "up")

    def stop(self) -> None:
        for number, name in enumerate(self.names):
            self.kill(number)
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def kill(self, number: int) -> None:
        """Let one of the two die: all its processes at once, those in sessions of their own, too."""
        found = subprocess.run(["ip", "netns", "pids", self.names[number]], capture_output=True, text=True, check=False)
        for process in found.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        for job in self.jobs[number]:
            job.wait()

    def popen(
        self, number: int, command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command on one of the two, with what it says in ``folder``/said."""
        environment = {
            **os.environ,
            "NODE_RANK": str(number),
            "MASTER_ADDR": ADDRESSES[0],
            "GLOO_SOCKET_IFNAME": CABLE,
            "OMP_NUM_THREADS": "1",
            **(more or {}),
        }
        with (folder / "said").open("a") as said:
            job = subprocess.Popen(
                ["ip", "netns", "exec", self.names[number], *command],
                cwd=folder,
                env=environment,
                stdout=said,
                stderr=said,
                text=True,
            )
        self.jobs[number].append(job)
        return job


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
