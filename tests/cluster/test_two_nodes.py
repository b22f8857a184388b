"""Two machines that share only a network train as one with the joint batch; one dies, the same command goes on.

python -m pytest tests/cluster -m slow, as root, with ip.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from assemble.paths import ROOT
from tests.cluster.networks import Networks, missing
from tests.cluster.slurm import wait_for
from tests.helpers.packed import tar_of, write_folders
from tests.helpers.ranks import run
from tests.programs.test_ddp import assert_close

pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # Lightning 2.6 with torch 2.14
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
ARGUMENTS = (
    "data.image_size=16",
    "model.width=4",
    "data.batch_size=16",
    "trainer.progress_bar=false",
    "+tricks=[mixup,dropblock]",
    "trainer.accelerator=cpu",
)
SCRIPT = str(ROOT / "docs" / "clusters" / "torchrun.sh")


@pytest.fixture
def machines() -> Iterator[Networks]:
    both = Networks()
    try:
        both.start()
        yield both
    finally:
        both.stop()


def machine(folder: Path) -> Path:
    """Make the folder of one machine, in which ``python``, ``torchrun`` and train.py are found."""
    (folder / "bin").mkdir(parents=True)
    for name, words in {"python": "", "torchrun": " -m torch.distributed.run"}.items():
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{words} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    (folder / "train.py").symlink_to(ROOT / "train.py")
    return folder


def start(machines: Networks, folders: list[Path], *arguments: str) -> list[subprocess.Popen[str]]:
    return [
        machines.popen(
            number,
            [SCRIPT, *arguments],
            folder,
            {"DEVICES": "1", "PATH": f"{folder}/bin:{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / "cache")},
        )
        for number, folder in enumerate(folders)
    ]


def said(folder: Path) -> str:
    return (folder / "said").read_text()


def end(jobs: list[subprocess.Popen[str]]) -> list[int]:
    return [job.wait(300) for job in jobs]


def outcome(folder: Path) -> Any:
    (directory,) = (folder / "runs").iterdir()
    assert (directory / "result.json").is_file()
    content = torch.load(directory / "last.ckpt", weights_only=True)
    return content["state_dict"], (directory / "metrics.csv").read_text()


def assert_same(one: Any, other: Any) -> None:
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])


def on_one_machine(folder: Path, *arguments: str) -> Any:
    """Weights and metrics of the run by two processes of one machine."""
    command = [sys.executable, "train.py", *arguments, "trainer.devices=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=machine(folder), env=environment, check=True, timeout=300, capture_output=True)
    return outcome(folder)


def test_the_joint_batch_over_two_machines(machines: Networks, tmp_path: Path) -> None:
    script = str(ROOT / "tests" / "helpers" / "ranks.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--master-port=29500"]
    place = ["--master-addr=10.213.7.1"]
    jobs = [
        machines.popen(number, [*launch, *place, f"--node-rank={number}", script, str(tmp_path)], tmp_path)
        for number in range(2)
    ]
    assert end(jobs) == [0, 0], said(tmp_path)
    two, one = [torch.load(tmp_path / f"plain{rank}.pt") for rank in (0, 1)], run(1)
    for step, index in enumerate(one["index"]):
        order = torch.cat([rank["index"][step] for rank in two])
        images = torch.cat([rank["images"][step] for rank in two])
        assert torch.equal(images[order.argsort()], one["images"][step][index.argsort()])
    for rank in two:
        assert_close(rank["gradients"], one["gradients"])
        assert_close(rank["weights"], one["weights"])
        assert rank["scores"] == pytest.approx(one["scores"], abs=1e-3)


def test_a_machine_dies_and_the_same_command_goes_on(machines: Networks, tmp_path: Path) -> None:
    arguments = [*ARGUMENTS, "trainer.max_epochs=8"]
    folders = [machine(tmp_path / "first"), machine(tmp_path / "second")]
    jobs = start(machines, folders, *arguments)
    wait_for(lambda: list(folders[0].glob("runs/*/last.ckpt")) or jobs[0].poll() is not None, 120, "a checkpoint")
    machines.kill(1)
    assert jobs[0].wait(120) != 0, said(folders[0])
    assert "another process of this job has ended" in said(folders[0])
    assert said(folders[0]).count("error: ") == 1
    assert not list(folders[0].glob("runs/*/result.json"))
    assert end(start(machines, folders, *arguments)) == [0, 0], said(folders[0]) + said(folders[1])
    assert not list(folders[1].glob("runs/*/result.json"))
    assert_same(outcome(folders[0]), on_one_machine(tmp_path / "whole", *arguments))


def test_each_machine_has_its_own_archive(machines: Networks, tmp_path: Path) -> None:
    images = write_folders(tmp_path / "images", counts={"train": 24, "val": 5})
    arguments = [*ARGUMENTS, "trainer.max_epochs=3", "data=imagefolder", "data.root=images.tar"]
    folders = [machine(tmp_path / "first"), machine(tmp_path / "second")]
    tar_of(images, tmp_path / "images.tar")
    for folder in folders:
        shutil.copy(tmp_path / "images.tar", folder)
    assert end(start(machines, folders, *arguments)) == [0, 0], said(folders[0]) + said(folders[1])
    (tmp_path / "whole").mkdir()
    shutil.copy(tmp_path / "images.tar", tmp_path / "whole")
    assert_same(outcome(folders[0]), on_one_machine(tmp_path / "whole", *arguments))
