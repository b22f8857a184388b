"""Two processes with gloo against one with the joint batch: the same images, gradients, weights and scores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.ranks import run
from tests.programs.test_train import QUICK, command

pytestmark = [
    pytest.mark.process,
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # Lightning 2.6 with torch 2.14
]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What both ranks saw, without tricks and with mixup."""
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).parents[1] / "helpers" / "ranks.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*torchrun, str(script), str(folder)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return {name: [torch.load(folder / f"{name}{rank}.pt") for rank in (0, 1)] for name in ("plain", "mixup")}


@pytest.fixture(scope="module")
def one() -> dict[str, Any]:
    return run(1)


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_batch_is_the_same(two: Any, one: Any) -> None:
    """Images and augmentations of a step do not depend on how many devices share it."""
    for step, index in enumerate(one["index"]):
        order = torch.cat([rank["index"][step] for rank in two["plain"]])
        images = torch.cat([rank["images"][step] for rank in two["plain"]])
        assert sorted(order.tolist()) == sorted(index.tolist())
        assert torch.equal(images[order.argsort()], one["images"][step][index.argsort()])


def test_gradients_and_weights_are_those_of_the_joint_batch(two: Any, one: Any) -> None:
    assert one["gradients"]
    for rank in two["plain"]:
        assert_close(rank["gradients"], one["gradients"])
        assert_close(rank["weights"], one["weights"])


def test_accumulating_is_the_same_as_more_devices(two: Any) -> None:
    assert_close(run(1, accumulate=2)["weights"], two["plain"][0]["weights"])


def test_scores_are_those_of_all_images(two: Any, one: Any) -> None:
    for rank in two["plain"]:
        assert rank["scores"].keys() == one["scores"].keys() == {"val/top1", "val/top5", "val/loss"}
        assert rank["scores"] == pytest.approx(one["scores"], abs=1e-3)


def test_ranks_mix_different_images_with_different_shares(two: Any) -> None:
    """Twice the images are loaded, the first half to be mixed with the second; no two ranks draw the same."""
    ranks = two["mixup"]
    shares = []
    for rank in ranks:
        assert [len(index) for index in rank["index"]] == [32, 32, 32]
        assert [len(targets) for targets in rank["targets"]] == [16, 16, 16]
        shares.append(torch.cat(rank["targets"]).amax(1))
    used = [torch.cat(rank["index"]) for rank in ranks]
    halves = [torch.cat([index[half * 16 : half * 16 + 16] for r in ranks for index in r["index"]]) for half in (0, 1)]
    assert all(len(set(half.tolist())) == 96 for half in halves)  # each half is an epoch's beginning, without repeats
    assert not set(used[0].tolist()) <= set(used[1].tolist())
    assert not set(shares[0][shares[0] < 1].tolist()) & set(shares[1][shares[1] < 1].tolist())
    assert_close(ranks[0]["weights"], ranks[1]["weights"])


def test_a_rank_that_dies_ends_the_job(tmp_path: Path) -> None:
    overrides = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.max_epochs=1000", "logger=[csv]")
    job = subprocess.Popen(command(*overrides, *QUICK), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while not list(tmp_path.glob("runs/*/last.ckpt")):
            assert job.poll() is None, job.communicate()
            time.sleep(0.1)
        (second,) = (
            int(child)
            for child in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
            if b"LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_bytes()
        )
        os.kill(second, signal.SIGKILL)
        _, errors = job.communicate(timeout=60)
    finally:
        job.kill()
    assert job.returncode == 2
    assert b"error: another process of this job has ended" in errors
