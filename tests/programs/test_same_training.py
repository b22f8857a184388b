"""The same training, bit for bit, whatever the images lie in: folders, a tar, shards, parquet files, an S3 server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.faults.test_soak import start
from tests.helpers.packed import PACKINGS, write_folders
from tests.helpers.stores import Store, endpoint, serving

pytestmark = pytest.mark.process

SMALL = (
    *("model=resnet20", "model.width=4", "data.image_size=16", "data.batch_size=4", "trainer.max_epochs=3", "seed=1"),
    *("trainer.accelerator=cpu", "trainer.progress_bar=false", "optim.warmup_epochs=0", "+tricks=[mixup]"),
    *("trainer.log_every_n_steps=1", "trainer.checkpoint_minutes=0.00001", "logger=[csv]"),
)
STEPS = 5
"""Of an epoch: 4 of 21 images each, which they do not divide."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("data") / "folders")


Trained = tuple[str, dict[str, Any], str]
"""A run's name, its weights and what it logged."""


def train(folder: Path, root: Path | str, *more: str, data: str = "imagefolder", workers: int = 0) -> Trained:
    """Train in a folder."""
    folder.mkdir(exist_ok=True)
    cache = f"data.cache_dir={folder / 'cache'}"
    process = start(folder, f"data={data}", f"data.root={root}", cache, f"data.num_workers={workers}", *SMALL, *more)
    assert process.wait(timeout=200) == 0, (folder / "said").read_text()
    (run,) = (folder / "runs").glob("*/last.ckpt")
    weights = torch.load(run, weights_only=True)["state_dict"]
    return run.parent.name, weights, (run.parent / "metrics.csv").read_text()


def assert_same(found: Trained, expected: Trained) -> None:
    assert found[1].keys() == expected[1].keys()
    assert all(torch.equal(found[1][name], expected[1][name]) for name in expected[1])
    assert found[2] == expected[2]


@pytest.fixture(scope="module")
def expected(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("expected"), folders)


@pytest.mark.parametrize("packing", ["tar", "shards"])
def test_archives(tmp_path: Path, folders: Path, expected: Any, packing: str) -> None:
    """Even the run is called the same."""
    found = train(tmp_path / "run", PACKINGS[packing](folders, tmp_path / "packed"), workers=2)
    assert_same(found, expected)
    assert found[0] == expected[0]


def test_parquet(tmp_path: Path, folders: Path, expected: Any) -> None:
    pytest.importorskip("datasets")
    from tests.data.test_hugging_face import write_parquet

    assert_same(train(tmp_path / "run", write_parquet(folders, tmp_path / "parquet"), data="hf"), expected)


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with serving() as store:
        yield store


def test_s3(tmp_path: Path, folders: Path, expected: Any, server: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    server.reset()
    endpoint(monkeypatch, server.port)
    found = train(tmp_path / "run", server.put(PACKINGS["tars"](folders, tmp_path / "tars")))
    assert_same(found, expected)
    assert found[0] == expected[0]


def killed(folder: Path, root: Path) -> int:
    """Train until there is a checkpoint, and kill it; returns the step of the checkpoint."""
    folder.mkdir()
    process = start(folder, "data=imagefolder", f"data.root={root}", "data.num_workers=0", *SMALL)
    try:
        while not list(folder.glob("runs/*/last.ckpt")):
            assert process.poll() is None, (folder / "said").read_text()
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (last,) = folder.glob("runs/*/last.ckpt")
    return torch.load(last, weights_only=True)["global_step"]


def test_killed_in_mid_epoch_and_gone_on_with(tmp_path: Path, folders: Path, expected: Any) -> None:
    """A run from a tar goes on from it, and from the folders."""
    tar = PACKINGS["tar"](folders, tmp_path / "packed")
    for name, root in {"tar": tar, "folders": folders}.items():
        tries = (folder for i in range(5) if killed(folder := tmp_path / f"{name} {i}", tar) % STEPS)
        assert_same(train(next(tries), root), expected)


@pytest.mark.slow
def test_two_ranks(tmp_path: Path, folders: Path) -> None:
    """Each reads its own share of an archive, of which one of them makes the index."""
    ranks = "trainer.devices=2"
    expected = train(tmp_path / "folders", folders, ranks)
    for packing in ("tar", "shards"):
        root = PACKINGS[packing](folders, tmp_path / f"packed {packing}")
        assert_same(train(tmp_path / packing, root, ranks), expected)
