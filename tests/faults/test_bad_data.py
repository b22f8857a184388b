"""Data that is not what it should be, met by the command: one line, exit code 2, and what was there stays."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers import forked
from tests.helpers.packed import files_of, tar_of, write_folders
from tests.helpers.stores import endpoint, serving
from tests.programs.test_train import assert_mistake, command

pytestmark = pytest.mark.process
SMALL = (
    "data.image_size=16",
    "model.width=4",
    "data.batch_size=4",
    "data.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
)
ONE_EPOCH = (*SMALL, "trainer.max_epochs=1", "optim.warmup_epochs=0")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_folders(tmp_path / "folders")


def test_a_tar_that_is_cut_off(folders: Path, tmp_path: Path) -> None:
    tar = tar_of(folders, tmp_path / "set.tar")
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2])
    arguments = ("data=imagefolder", "data.root=set.tar", *ONE_EPOCH)
    assert_mistake(forked.train(tmp_path, *arguments), "set.tar")
    assert not (tmp_path / "runs").exists()
    tar.write_bytes(whole)
    assert forked.train(tmp_path, *arguments).returncode == 0


def test_the_index_of_another_tar(folders: Path, tmp_path: Path) -> None:
    """It is made anew: the run is that of the folders, in its data's digest and scores."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    tar_of(folders, tmp_path / "one" / "set.tar")
    shutil.copytree(folders, tmp_path / "fewer")
    (tmp_path / "fewer" / "train" / "ant" / "0.jpg").unlink()
    tar_of(tmp_path / "fewer", tmp_path / "other" / "set.tar")
    arguments = ("data=imagefolder", "data.root=set.tar", *ONE_EPOCH)
    assert forked.train(tmp_path / "other", *arguments).returncode == 0
    shutil.copytree(tmp_path / "other" / ".assemble", tmp_path / "one" / ".assemble")
    assert forked.train(tmp_path / "one", *arguments).returncode == 0
    shutil.copytree(folders, tmp_path / "plain" / "set.tar")  # a folder of that name
    assert forked.train(tmp_path / "plain", *arguments).returncode == 0
    ours, theirs = (next((tmp_path / name).glob("runs/*/metrics.csv")).read_text() for name in ("one", "plain"))
    assert ours == theirs


def test_a_list_of_files_that_are_missing(folders: Path, tmp_path: Path) -> None:
    files = [f for split in ("train", "val") for f in files_of(folders / split) if f.parent.name != "more"]
    rows = [f"{file.relative_to(folders)},{file.parts[-2]},{file.parts[-3]}" for file in files]
    (folders / "list.csv").write_text("\n".join(["path,label,split", *rows, "train/ant/nowhere.jpg,ant,train"]) + "\n")
    arguments = ("data=list", "data.root=folders/list.csv", *ONE_EPOCH)
    assert_mistake(forked.train(tmp_path, *arguments), "nowhere.jpg", "line 26", "put back")
    assert not list(tmp_path.glob("runs/*/result.json"))


def test_a_bucket_without_credentials_and_one_that_goes_while_it_is_trained(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is trained on was fetched before, so the run ends; another one finds nothing there."""
    (tmp_path / "tars").mkdir()
    tar_of(folders, tmp_path / "tars" / "set.tar")
    with serving() as store:
        store.reset()
        endpoint(monkeypatch, store.port)
        root = store.put(tmp_path / "tars") + "/set.tar"
        arguments = ("data=imagefolder", f"data.root={root}", *SMALL)
        store.call("/moto-api/reset-auth", "POST", b"0")
        assert_mistake(forked.train(tmp_path, *arguments), "may not be read", "set credentials that may")
        store.call("/moto-api/reset-auth", "POST", b"1000000000")
        job = subprocess.Popen(
            command(*arguments, "trainer.max_epochs=30"),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        while not list(tmp_path.glob("runs/*/last.ckpt")):
            time.sleep(0.1)
            assert job.poll() is None, job.communicate()
        store.reset()
        _, errors = job.communicate(timeout=200)
        assert job.returncode == 0, errors
        assert list(tmp_path.glob("runs/*/result.json"))
        shutil.rmtree(tmp_path / "cache")
        assert_mistake(forked.train(tmp_path, *arguments, "seed=1"), root)
