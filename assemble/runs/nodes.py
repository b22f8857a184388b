"""Several nodes that share no folder: the first one's checkpoint is the run's, and the others get it from there."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning import Trainer
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from assemble.atomic import write_whole
from assemble.errors import UserError

CHUNK = 32 * 2**20
"""Bytes that are sent at once."""


def agree_on_checkpoint(trainer: Trainer, checkpoint: Path | None, path: Path) -> Path | None:
    """Return the checkpoint that all ranks go on from; None where the run begins.

    Each rank would look at its own disk, and those that found one would wait for ever for those that did not.

    Args:
        trainer: with several nodes; of one node, whose ranks see one disk, nothing is asked.
        checkpoint: what this rank has found.
        path: where a rank that has not the first one's puts it.

    Raises:
        UserError: the first rank cannot be reached.
    """
    environment: ClusterEnvironment | None = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.num_nodes < 2 or environment is None:
        return checkpoint
    first, port = trainer.global_rank == 0, environment.main_port + 1
    try:
        store = TCPStore(environment.main_address, port, trainer.world_size, first)
        if first:
            _offer(store, checkpoint)
        else:
            checkpoint = _take(store, checkpoint, path)
        store.set(f"left {trainer.global_rank}", "")
        if first:  # which holds the store
            store.wait([f"left {rank}" for rank in range(trainer.world_size)])
    except RuntimeError as error:
        raise UserError(
            f"the ranks do not reach {environment.main_address}:{port}, where they agree: {error}"
        ) from error
    return checkpoint


def _offer(store: TCPStore, checkpoint: Path | None) -> None:
    content = checkpoint.read_bytes() if checkpoint else b""
    parts = [content[i : i + CHUNK] for i in range(0, len(content), CHUNK)]
    for number, part in enumerate(parts):
        store.set(f"part {number}", part)  # type: ignore[arg-type]
    store.set("parts", str(len(parts)))


def _take(store: TCPStore, checkpoint: Path | None, path: Path) -> Path | None:
    count = int(store.get("parts"))
    if not count:
        return None
    content = b"".join(store.get(f"part {number}") for number in range(count))
    if checkpoint is None or checkpoint.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return path
