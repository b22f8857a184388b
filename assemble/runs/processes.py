"""Whether as many processes run as the configuration asks for, before they wait for each other or train twice."""

from __future__ import annotations

import os
from collections.abc import Mapping

from assemble.errors import UserError

INTERACTIVE = {"bash", "interactive"}
"""Names of SLURM's jobs in which a shell runs: Lightning starts its processes by itself there."""


def check_processes(devices: int, nodes: int, environment: Mapping[str, str] = os.environ) -> None:
    """Compare ``trainer.devices`` x ``trainer.num_nodes`` with what srun or torchrun has started.

    Raises:
        UserError: other processes, or one alone within a job of SLURM's that needs srun to start the others.
    """
    planned = devices * nodes
    asked = f"trainer.devices={devices} x trainer.num_nodes={nodes}"
    if "SLURM_STEP_ID" in environment:
        started = int(environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS") or 1)
        how = f"srun has started {started} process" + "es" * (started > 1)
        remedy = f"give srun --nodes={nodes} --ntasks-per-node={devices}, or change them"
    elif "RANK" in environment and "WORLD_SIZE" in environment:
        started = int(environment["WORLD_SIZE"])
        how = f"torchrun has started {started} process" + "es" * (started > 1)
        remedy = f"give torchrun --nnodes={nodes} --nproc-per-node={devices}, or change them"
    else:
        batch_job = "SLURM_NTASKS" in environment and environment.get("SLURM_JOB_NAME") not in INTERACTIVE
        if planned > 1 and batch_job:
            raise UserError(
                f"{asked} needs {planned} processes, and in a job of SLURM's srun must start them: begin the command "
                f"with srun, and give sbatch --nodes={nodes} --ntasks-per-node={devices}"
            )
        return
    if started != planned:
        raise UserError(f"{how}, and {asked} makes {planned}: {remedy}")
