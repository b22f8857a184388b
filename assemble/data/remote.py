"""Archives in object stores (S3, Google's, HTTP): fetched once into a folder, and read from there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assemble.atomic import alone, write_whole
from assemble.data.cache_folder import cache_folder
from assemble.errors import UserError
from assemble.progress_bar import bar
from assemble.schema import DataConfig

CHUNK = 16 << 20
"""Bytes that are asked for at once."""
TRIES, PAUSE = 6, 0.5
"""How often a chunk is asked for, and seconds until the second time; the pause doubles."""
AT_ONCE = 4
"""Files that are fetched at the same time."""
GIGABYTE = 10**9
STATE = ".fetched.json"
"""File beside fetched files: name -> `Remote.tag` and size."""


@dataclass(frozen=True)
class Remote:
    """A file in a store. ``tag`` changes with its content; ``name`` is its path below the root."""

    path: str
    name: str
    size: int
    tag: str


def root_of(cfg: DataConfig, wanted: Callable[[str], bool]) -> Path:
    """Return where ``cfg.root``, which is set, lies on a disk, after what is ``wanted`` of a store was fetched.

    Raises:
        UserError: of `fetched`.
    """
    assert cfg.root is not None
    if is_remote(cfg.root):
        return fetched(cfg.root, cache_folder(cfg), cfg.cache_limit, wanted)
    return Path(cfg.root).expanduser()


def is_remote(root: str) -> bool:
    return "://" in root


def fetched(root: str, cache: Path, limit: float | None, wanted: Callable[[str], bool]) -> Path:
    """Return where the files of a store lie once they are fetched: a folder, or a file where ``root`` is one.

    One process of a node does it, and the others wait. What was fetched stays, also parts of files; a file is fetched
    again when the store has another one of its name.

    Args:
        root: s3://bucket/prefix, gs://..., https://...
        cache: folder that keeps them.
        limit: gigabytes that may be kept there, of all roots; None: as many as the disk has.
        wanted: which names of files are.

    Raises:
        UserError: they cannot be had, or kept.
    """
    folder = cache / "fetched" / hashlib.sha256(root.rstrip("/").encode()).hexdigest()[:16]
    fs, files, single = _asked(root, wanted)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / ".lock"):
            state = _read_state(folder)
            for name in state.keys() - {file.name for file in files}:
                (folder / name).unlink(missing_ok=True)
            state = {file.name: [file.tag, file.size] for file in files if _is_there(folder, file, state)}
            missing = [file for file in files if file.name not in state]
            if missing:
                _check_room(root, folder, files, missing, limit)
                _fetch_all(root, fs, folder, missing, state)
    except OSError as error:
        raise UserError(
            f"{root} cannot be kept in {folder} ({error.strerror}): make room, or set data.cache_dir to another "
            "folder; what is there already is not fetched again"
        ) from error
    return folder / files[0].name if single else folder


def _asked(root: str, wanted: Callable[[str], bool]) -> tuple[Any, list[Remote], bool]:
    """Ask the store for its files: the file system, those that are wanted, and whether ``root`` is one itself."""
    try:
        import fsspec

        fs, path = fsspec.core.url_to_fs(root.rstrip("/"))
        fs.invalidate_cache()
        about = fs.info(path)
        single = about["type"] == "file" and wanted(path)
        found = {path: about} if single else fs.find(path, maxdepth=2, detail=True)
    except Exception as error:  # of any store's library
        raise _refused(root, error) from error
    files = [
        Remote(name, name.rpartition("/")[2] if single else name[len(path) :].lstrip("/"), int(one["size"]), _tag(one))
        for name, one in sorted(found.items())
        if wanted(name) and one.get("size") is not None and ".." not in name.split("/")
    ]
    if not files:
        raise UserError(
            f"{root} has no archives: put train.tar and val.tar there, or shards (loose images are not read)"
        )
    return fs, files, single


def _tag(about: Mapping[str, Any]) -> str:
    names = ("ETag", "etag", "md5Hash", "LastModified", "updated", "mtime")
    return next((str(about[name]) for name in names if about.get(name)), "")


def _refused(root: str, error: Exception) -> UserError:
    """Say why a store gives nothing."""
    kinds, reason = {kind.__name__ for kind in type(error).__mro__}, " ".join(str(error).split())
    if isinstance(error, ImportError):
        return UserError(f"{root} needs a library ({reason}): pip install -e '.[remote]'")
    if isinstance(error, FileNotFoundError):
        return UserError(f"there is no {root}: see whether bucket and path are right")
    if isinstance(error, PermissionError) or "NoCredentialsError" in kinds:
        return UserError(
            f"{root} may not be read ({reason}): set credentials that may (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true for a public bucket)"
        )
    reason = reason or type(error).__name__
    return UserError(f"{root} cannot be reached ({reason}): the same command goes on with what is fetched already")


def _read_state(folder: Path) -> dict[str, list[Any]]:
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _is_there(folder: Path, file: Remote, state: Mapping[str, list[Any]]) -> bool:
    path = folder / file.name
    return state.get(file.name) == [file.tag, file.size] and path.is_file() and path.stat().st_size == file.size


def _check_room(
    root: str, folder: Path, files: Sequence[Remote], missing: Sequence[Remote], limit: float | None
) -> None:
    """Raise `UserError` where the files would take more than is allowed, or than there is."""
    others = sum(f.stat().st_size for f in folder.parent.rglob("*") if f.is_file() and folder not in f.parents)
    needed = sum(file.size for file in files)
    if limit is not None and needed + others > limit * GIGABYTE:
        raise UserError(
            f"{root} has {_gigabytes(needed)} and {folder.parent} keeps {_gigabytes(others)} of others, more than "
            f"data.cache_limit={limit:g} allows: raise it, or remove folders of others there"
        )
    begun = sum(part.stat().st_size for file in missing if (part := _part(folder, file)).is_file())
    free, left = shutil.disk_usage(folder).free, sum(file.size for file in missing) - begun
    if left > free:
        raise UserError(
            f"{root} has {_gigabytes(left)} to fetch and the disk of {folder} has {_gigabytes(free)} left: make room, "
            "or set data.cache_dir to a folder on another disk"
        )


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.3g} GB"


def _part(folder: Path, file: Remote) -> Path:
    """Return where a file lies until it is whole; that of another content is another one."""
    path = folder / file.name
    digits = hashlib.sha256(f"{file.tag} {file.size}".encode()).hexdigest()[:16]
    return path.with_name(f".{path.name}.{digits}.part")


def _fetch_all(root: str, fs: Any, folder: Path, files: Sequence[Remote], state: dict[str, list[Any]]) -> None:
    """Fetch files, and note each that is whole in ``state``, on the disk too."""
    ended, noting = threading.Event(), threading.Lock()
    with bar(f"fetching {root}", "B", total=sum(f.size for f in files), delay=2, unit_scale=True) as progress:

        def fetch(file: Remote) -> None:
            try:
                _fetch(root, fs, folder, file, ended, progress.update)
            except BaseException:
                ended.set()  # the others stop after their chunk
                raise
            if not ended.is_set():
                with noting:
                    state[file.name] = [file.tag, file.size]
                    write_whole(folder / STATE, json.dumps(state, indent=2) + "\n")

        with ThreadPoolExecutor(AT_ONCE) as pool:
            tasks = [pool.submit(fetch, file) for file in files]
            try:
                for task in tasks:
                    task.result()
            finally:
                ended.set()


def _fetch(
    root: str, fs: Any, folder: Path, file: Remote, ended: threading.Event, tell: Callable[[int], object]
) -> None:
    """Fetch a file, from where it broke off before."""
    if ended.is_set():
        return
    path, part = folder / file.name, _part(folder, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob(f".{path.name}.*.part"):
        if other != part:
            other.unlink()
    with part.open("ab") as kept:
        tell(kept.tell())
        while (at := kept.tell()) < file.size:
            if ended.is_set():
                return
            data = _chunk(root, fs, file, at, min(at + CHUNK, file.size))
            kept.write(data)
            kept.flush()
            tell(len(data))
        os.fsync(kept.fileno())
    try:
        whole = _as_stored(fs, file, part)
    except Exception as error:  # of any store's library
        raise _refused(root, error) from error
    if not whole:
        part.unlink()
        raise UserError(f"{root}/{file.name} has changed while it was fetched, or came damaged: run the command again")
    part.replace(path)


def _chunk(root: str, fs: Any, file: Remote, start: int, end: int) -> bytes:
    for attempt in range(TRIES):
        try:
            data = fs.cat_file(file.path, start=start, end=end)
            if len(data) == end - start or (start == 0 and len(data) == file.size):  # a server that knows no parts
                return data
            raise OSError(errno.EIO, f"{len(data):,} bytes came of {end - start:,}")
        except Exception as error:  # of any store's library
            if attempt == TRIES - 1 or isinstance(error, FileNotFoundError | PermissionError):
                raise _refused(root, error) from error
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError


def _as_stored(fs: Any, file: Remote, part: Path) -> bool:
    """Return True where a fetched file is what the store has: of its size and tag, and MD5 where that is told."""
    fs.invalidate_cache()
    about = fs.info(file.path)
    if part.stat().st_size != file.size or (_tag(about), int(about["size"])) != (file.tag, file.size):
        return False
    tag = file.tag.strip('"')
    if not hasattr(fs, "call_s3") or len(tag) != 32:
        return True
    bucket, key, _ = fs.split_path(file.path)
    if "kms" in str(fs.call_s3("head_object", Bucket=bucket, Key=key).get("ServerSideEncryption")):
        return True  # the tag is none of the content then
    with part.open("rb") as whole:
        return hashlib.file_digest(whole, "md5").hexdigest() == tag
