"""Launchers that run several jobs at once on this machine: as many as it has places for, each on devices of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from omegaconf import DictConfig

from assemble.devices import cores
from assemble.errors import UserError
from assemble.sweeps.devices import POOL, devices_here, places

JOBS = 2
"""At once, where there are no GPUs."""
KEY = "trainer.devices="
ADDRESS = "hydra.launcher.ray.init.address"
PATIENCE = 10.0
"""Seconds in which a Ray that is there answers. Ray itself tries for minutes, and then ends the process."""


def devices_of_a_job(config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> int:
    """Return the most devices that a job of a sweep takes."""
    asked = [int(text.removeprefix(KEY)) for job in job_overrides for text in job if text.startswith(KEY)]
    return max(asked) if asked else config.trainer.devices


def lend_devices(config: DictConfig, job_overrides: Sequence[Sequence[str]], per_device: int) -> int:
    """Let the processes that a launcher starts share out this machine's GPUs; returns how many jobs have a place.

    Where there are no GPUs, that is 0.
    """
    pool = devices_here()
    os.environ[POOL] = ",".join(pool)
    return places(pool, devices_of_a_job(config, job_overrides), per_device)


def share_cores(jobs: int) -> None:
    """Give each of so many jobs, which run at once, its part of the cores; a user's own OMP_NUM_THREADS stays."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // max(jobs, 1))))


def start_ray(options: Mapping[str, Any]) -> None:
    """Connect to the Ray at ``options["address"]`` or RAY_ADDRESS, or else start one on this machine.

    Args:
        options: keywords of ``ray.init``.

    Raises:
        UserError: there is none at the address, or it does not take the options.
    """
    ray: Any = import_module("ray")
    address = options.get("address") or os.environ.get("RAY_ADDRESS") or "local"
    given = {**options, "address": address}
    if address == "local":
        given.setdefault("object_store_memory", 75 * 2**20)  # the launcher's own default, which a cluster refuses
    try:
        if address not in {"auto", "local"}:
            place = address.rpartition("://")[2].partition("/")[0]
            host, _, port = place.rpartition(":")
            socket.create_connection((host, int(port)), PATIENCE).close()
        ray.init(**given)
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).strip().partition("\n")[0]
        if address == "local":
            raise UserError(f"hydra/launcher=ray: Ray does not start on this machine: {said}") from error
        raise UserError(
            f"hydra/launcher=ray: no Ray at {address} ({said}): name the head of one that runs, {ADDRESS}=HOST:6379, "
            "or leave it out (and RAY_ADDRESS): then one starts on this machine"
        ) from error
