"""Processes that srun, sbatch and torchrun start, against those that the configuration asks for."""

import pytest

from assemble.errors import UserError
from assemble.runs.processes import check_processes

BATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train.sh", "SLURM_PROCID": "0"}
STEP = {**BATCH, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"}
TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("devices", "nodes", "environment"),
    [
        (1, 1, {}),
        (2, 1, {}),
        (1, 1, BATCH),
        (2, 1, {**BATCH, "SLURM_JOB_NAME": "bash"}),
        (2, 1, STEP),
        (1, 2, STEP),
        (2, 1, TORCHRUN),
    ],
)
def test_as_many_as_planned(devices, nodes, environment):
    check_processes(devices, nodes, environment)


@pytest.mark.parametrize(
    ("devices", "environment", "message"),
    [
        (2, BATCH, "begin the command with srun, and give sbatch --nodes=1 --ntasks-per-node=2"),
        (2, {**BATCH, "SLURM_NTASKS": "2"}, "in a job of SLURM's srun must start them"),
        (1, STEP, "srun has started 2 processes, and trainer.devices=1 x trainer.num_nodes=1 makes 1"),
        (4, TORCHRUN, "torchrun has started 2 processes, and trainer.devices=4 x trainer.num_nodes=1 makes 4"),
        (1, TORCHRUN, "torchrun has started 2 processes"),
    ],
)
def test_another_number_is_one_line(devices, environment, message):
    with pytest.raises(UserError, match=message):
        check_processes(devices, 1, environment)
