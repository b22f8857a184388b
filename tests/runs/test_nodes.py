"""Two nodes that share no folder: the second goes on from the first one's checkpoint."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assemble.runs import nodes
from assemble.runs.nodes import agree_on_checkpoint


def node(rank: int, port: int, count: int = 2) -> Any:
    environment = SimpleNamespace(main_address="127.0.0.1", main_port=port - 1)
    strategy = SimpleNamespace(cluster_environment=environment)
    return SimpleNamespace(num_nodes=count, global_rank=rank, world_size=count, strategy=strategy)


def agreed(first: Path | None, second: Path | None, path: Path) -> list[Path | None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found: list[Path | None] = [None, None]

    def act(rank: int, own: Path | None) -> None:
        found[rank] = agree_on_checkpoint(node(rank, port), own, path)

    threads = [threading.Thread(target=act, args=arguments) for arguments in ((0, first), (1, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return found


@pytest.mark.parametrize("stale", [None, b"another"])
def test_the_second_gets_what_the_first_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stale: bytes | None
) -> None:
    monkeypatch.setattr(nodes, "CHUNK", 3)
    (tmp_path / "first.ckpt").write_bytes(b"a checkpoint")
    path = tmp_path / "run" / "last.ckpt"
    if stale is not None:
        path.parent.mkdir()
        path.write_bytes(stale)
    assert agreed(tmp_path / "first.ckpt", path if stale else None, path) == [tmp_path / "first.ckpt", path]
    assert path.read_bytes() == b"a checkpoint"


def test_where_the_first_begins_all_begin(tmp_path: Path) -> None:
    (tmp_path / "second.ckpt").write_bytes(b"of another time")
    assert agreed(None, tmp_path / "second.ckpt", tmp_path / "last.ckpt") == [None, None]


def test_one_node_asks_nobody(tmp_path: Path) -> None:
    assert agree_on_checkpoint(node(0, 1, count=1), tmp_path, tmp_path) == tmp_path
