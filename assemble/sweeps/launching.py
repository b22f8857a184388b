"""Launchers that run several jobs at once on this machine: as many as it has places for, each on devices of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence

from omegaconf import DictConfig

from assemble.devices import cores
from assemble.sweeps.devices import POOL, devices_here, places

JOBS = 2
"""At once, where there are no GPUs."""
KEY = "trainer.devices="


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
