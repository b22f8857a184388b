"""Archives in an object store: fetched once, whole or not at all, from a real S3 server."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from assemble.data import remote
from assemble.data.folders import imagefolder
from assemble.data.identity import data_digest
from assemble.errors import UserError
from assemble.schema import DataConfig
from tests.data.test_archives import assert_same, config
from tests.helpers.packed import PACKINGS, tar_of, write_folders
from tests.helpers.stores import BUCKET, BreakingLine, Store, endpoint, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with serving() as store:
        yield store


@pytest.fixture
def store(server: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    server.reset()
    endpoint(monkeypatch, server.port)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSE", 0.01)
    return server


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "folders")


@pytest.fixture
def tars(tmp_path: Path, folders: Path) -> Path:
    return PACKINGS["tars"](folders, tmp_path / "tars")


def fetched_files(tmp_path: Path) -> dict[str, int]:
    """Name -> bytes, of what was fetched or begun with; `*.part` for the latter."""
    files = [file for file in (tmp_path / "cache" / "assemble" / "fetched").rglob("*") if file.is_file()]
    names = {file: ("*.part" if file.suffix == ".part" else file.name) for file in files}
    return {name: file.stat().st_size for file, name in names.items() if name.endswith((".tar", ".part", ".txt"))}


@pytest.fixture
def no_more(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function after which nothing may be fetched."""
    return lambda: monkeypatch.setattr(remote, "_fetch", lambda *_: pytest.fail("fetched again"))


@pytest.mark.parametrize("packing", ["tars", "shards", "shards with names"])
def test_the_same_images_fetched_once(store, tmp_path, folders, packing, no_more) -> None:
    root = store.put(PACKINGS[packing](folders, tmp_path / "packed"))
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))
    no_more()
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))
    assert data_digest(config(root)) == data_digest(config(folders))
    assert "classes.txt" in fetched_files(tmp_path) or packing == "tars"


def test_one_archive(store, tmp_path, folders) -> None:
    (tmp_path / "one").mkdir()
    tar_of(folders, tmp_path / "one" / "all.tar")
    store.put(tmp_path / "one")
    assert_same(imagefolder(config(f"s3://{BUCKET}/set/all.tar")), imagefolder(config(folders)))


def test_another_version_of_a_file_is_fetched_alone(store, tmp_path, folders, tars, monkeypatch) -> None:
    root = store.put(tars)
    imagefolder(config(root))
    asked: list[str] = []
    real = remote._fetch

    def noted(root: str, fs: Any, folder: Path, file: remote.Remote, *rest: Any) -> None:
        asked.append(file.name)
        real(root, fs, folder, file, *rest)

    monkeypatch.setattr(remote, "_fetch", noted)
    (folders / "val/ant/0.jpg").unlink()
    tar_of(folders / "val", tars / "val.tar")
    store.put(tars)
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))
    assert asked == ["val.tar"]
    fsspec.filesystem("s3").rm(f"{BUCKET}/set/test.tar")
    shutil.rmtree(folders / "test")
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))
    assert "test.tar" not in fetched_files(tmp_path)


def test_a_line_that_breaks_is_taken_up_again(store, tmp_path, folders, tars, monkeypatch) -> None:
    """A few bytes at a time, each connection being cut; no byte is lost or comes twice."""
    root = store.put(tars)
    monkeypatch.setattr(remote, "CHUNK", 7000)
    line = BreakingLine(store.port, 3000, times=6)
    endpoint(monkeypatch, line.port)
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))
    assert line.cut == 6
    line.close()


def test_a_line_that_stays_broken_is_told_and_nothing_is_lost(store, tmp_path, folders, tars, monkeypatch) -> None:
    root = store.put(tars)
    monkeypatch.setattr(remote, "CHUNK", 5000)
    monkeypatch.setattr(remote, "TRIES", 1)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    asked: list[tuple[str, int]] = []
    breaking, real = [True], remote._chunk

    def until(root: str, fs: Any, file: remote.Remote, start: int, end: int) -> bytes:
        asked.append((file.name, start))
        if len(asked) == 7 and breaking:
            line.passing, line.left = 0, 10**6
        return real(root, fs, file, start, end)

    monkeypatch.setattr(remote, "_chunk", until)
    line = BreakingLine(store.port, 10**9, times=0)
    endpoint(monkeypatch, line.port)
    with pytest.raises(
        UserError, match=rf"^{root} cannot be reached \(.*\): the same command goes on with what"
    ) as one:
        imagefolder(config(root))
    assert "\n" not in str(one.value)
    assert fetched_files(tmp_path)["*.part"] > 0
    line.close()
    endpoint(monkeypatch, store.port)
    before, asked[:], breaking[:] = asked[-1], [], []
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))
    assert asked[0] == before  # where it broke off, of the same file


def test_credentials(store, tmp_path, tars, monkeypatch) -> None:
    root = store.put(tars)
    store.call("/moto-api/reset-auth", "POST", b"0")
    try:
        with pytest.raises(UserError, match=rf"^{root} may not be read \(.*\): set credentials that may") as one:
            imagefolder(config(root))
        assert "\n" not in str(one.value)
    finally:
        store.call("/moto-api/reset-auth", "POST", b"1000000000")
    endpoint(monkeypatch, store.port)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=rf"^{root} may not be read \(Unable to locate credentials\)"):
        imagefolder(config(root))


def test_what_is_not_there(store, tmp_path, folders) -> None:
    for root in ("s3://nobody-s/set", f"s3://{BUCKET}/nothing"):
        with pytest.raises(UserError, match=rf"^there is no {root}: see whether bucket and path are right"):
            imagefolder(config(root))
    root = store.put(folders, "loose")
    with pytest.raises(UserError, match=rf"^{root} has no archives: put train\.tar and val\.tar there"):
        imagefolder(config(root))
    with pytest.raises(UserError, match=r"^nowhere://set cannot be reached \(Protocol not known: nowhere"):
        imagefolder(config("nowhere://set"))


def test_the_limit(store, tmp_path, folders, tars) -> None:
    root = store.put(tars)
    size = sum(file.stat().st_size for file in tars.glob("*.tar"))
    with pytest.raises(UserError, match=r"more than data\.cache_limit=1e-06 allows: raise it, or remove"):
        imagefolder(config(root, cache_limit=1e-6))
    imagefolder(config(root, cache_limit=1.1 * size / 1e9))
    other = store.put(tars, "other")
    with pytest.raises(UserError, match=r"^s3://images/other has .* GB and .*/fetched keeps .* GB of others, more"):
        imagefolder(config(other, cache_limit=1.1 * size / 1e9))


def test_a_full_disk(store, tmp_path, folders, tars, monkeypatch) -> None:
    """It is told before the first byte or, where others fill it meanwhile, when it is full; then it goes on."""
    root = store.put(tars)
    monkeypatch.setattr(remote, "CHUNK", 5000)
    usage = namedtuple("usage", "free")
    with monkeypatch.context() as patch:
        patch.setattr(remote.shutil, "disk_usage", lambda _: usage(1000))
        with pytest.raises(UserError, match=r"GB to fetch and the disk of .* has 1e-06 GB left: make room, or"):
            imagefolder(config(root))
    real, calls = remote._chunk, []

    def filling(*args: Any) -> bytes:
        calls.append(args)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(remote, "_chunk", filling)
        with pytest.raises(UserError, match=r"cannot be kept in .* \(No space left on device\): make room"):
            imagefolder(config(root))
    kept = sum(fetched_files(tmp_path).values())
    assert kept > 0
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))


def test_bytes_that_came_damaged_are_never_kept(store, tmp_path, folders, tars, monkeypatch) -> None:
    root = store.put(tars)
    real = remote._chunk
    monkeypatch.setattr(remote, "_chunk", lambda *a: b"x" + real(*a)[1:])
    with pytest.raises(UserError, match=r"has changed while it was fetched, or came damaged: run the command again"):
        imagefolder(config(root))
    assert not fetched_files(tmp_path)
    monkeypatch.setattr(remote, "_chunk", real)
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))


def test_a_file_that_is_exchanged_meanwhile_is_not_mixed(store, tmp_path, folders, tars, monkeypatch) -> None:
    root = store.put(tars)
    monkeypatch.setattr(remote, "CHUNK", 5000)
    real, calls = remote._chunk, []

    def exchanging(*args: Any) -> bytes:
        calls.append(args)
        if len(calls) == 2:
            (folders / "train/ant/0.jpg").write_bytes((folders / "train/bee/0.jpg").read_bytes())
            for split in ("train", "val", "test"):
                tar_of(folders / split, tars / f"{split}.tar", "./")
                store.put(tars)
        return real(*args)

    monkeypatch.setattr(remote, "_chunk", exchanging)
    with pytest.raises(UserError, match=r"has changed while it was fetched"):
        imagefolder(config(root))
    assert_same(imagefolder(config(root)), imagefolder(config(folders)))


def test_several_processes_fetch_once(store, tmp_path, tars) -> None:
    root = store.put(tars)
    fetched = tmp_path / "asked"
    children = []
    for _ in range(3):
        if not (child := os.fork()):
            code = 1
            try:
                import fsspec
                import s3fs

                fsspec.asyn.reset_lock()
                s3fs.S3FileSystem.clear_instance_cache()
                real = remote._fetch

                def counted(root, fs, folder, file, *rest, real=real):
                    with fetched.open("a") as said:
                        said.write(f"{file.name}\n")
                    return real(root, fs, folder, file, *rest)

                remote._fetch = counted
                code = 0 if len(imagefolder(config(root)).train.labels) == 21 else 2
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 3
    assert sorted(fetched.read_text().split()) == ["test.tar", "train.tar", "val.tar"]


def test_the_state_is_of_whole_files_alone(store, tmp_path, tars) -> None:
    root = store.put(tars)
    imagefolder(config(root))
    (state,) = (tmp_path / "cache" / "assemble" / "fetched").glob(f"*/{remote.STATE}")
    assert sorted(json.loads(state.read_text())) == ["test.tar", "train.tar", "val.tar"]
    (state.parent / "train.tar").write_bytes(b"torn")
    assert len(imagefolder(config(root)).train.labels) == 21


def test_http(store, tmp_path, folders) -> None:
    """One archive by its address."""
    (tmp_path / "one").mkdir()
    tar_of(folders, tmp_path / "one" / "all.tar")
    store.put(tmp_path / "one")
    root = f"http://127.0.0.1:{store.port}/{BUCKET}/set/all.tar"
    assert_same(imagefolder(DataConfig(name="imagefolder", root=root, image_size=16)), imagefolder(config(folders)))
