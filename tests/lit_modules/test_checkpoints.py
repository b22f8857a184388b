"""Checkpoints: whole or not at all, refused in one line where they do not fit, and at home where their run is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from assemble.errors import UserError
from assemble.planning.plan import Plan, make_plan
from assemble.runs.build import build_callbacks, build_module, build_trainer
from assemble.runs.code import Code
from assemble.runs.directory import Run
from assemble.runs.fit import fit
from assemble.schema import Config, Weights
from lit_modules import checkpoints
from lit_modules.checkpoints import RunCheckpoint, WholeFiles, read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 with torch 2.14


def plan(**changes: Any) -> Plan:
    cfg = Config()
    cfg.data.image_size, cfg.trainer.limit_train_batches, cfg.trainer.max_epochs = 16, 0.1, 1
    cfg.trainer.progress_bar, cfg.trainer.accelerator = False, "cpu"
    for name, value in changes.items():
        group, key = name.split("__")
        setattr(getattr(cfg, group), key, value)
    return make_plan(cfg, [])


def run_in(directory: Path) -> Run:
    directory.mkdir(exist_ok=True)
    return Run(
        directory, "a-run", "12345678", None, {"model": {"name": "tiny"}, "data": {"name": "digits"}, "tricks": {}}
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of one epoch."""
    directory = tmp_path_factory.mktemp("trained")
    fit(plan(), run_in(directory))
    return directory


# --- written


def test_a_checkpoint_is_written_beside_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the temporary folder: from another file system it would be copied, and half of it be there meanwhile."""
    path, save = tmp_path / "last.ckpt", torch.save
    during: list[list[str]] = []

    def watched(checkpoint: Any, file: Any) -> None:
        save(checkpoint, file)
        during.append(sorted(p.name for p in tmp_path.iterdir()))
        if len(during) == 2:
            assert torch.load(path)["epoch"] == 0

    monkeypatch.setattr(torch, "save", watched)
    for epoch in range(2):
        WholeFiles().save_checkpoint({"epoch": epoch}, path)
    torn = f".last.ckpt.{os.getpid()}.tmp"
    assert during == [[torn], [torn, "last.ckpt"]]
    assert torch.load(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"epoch": 0}, path)

    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    save = torch.save
    monkeypatch.setattr(torch, "save", lambda checkpoint, file: save(checkpoint, Full()))
    with pytest.raises(OSError, match=r"No space left on device.*last\.ckpt"):
        WholeFiles().save_checkpoint({"epoch": 1, "weights": torch.zeros(10)}, path)
    assert torch.load(path)["epoch"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_run_writes_its_checkpoints_so() -> None:
    assert isinstance(build_trainer(plan().cfg.trainer, logger=False).strategy.checkpoint_io, WholeFiles)


# --- moved


def test_a_moved_run_remembers_its_best_score(tmp_path: Path, trained: Path) -> None:
    shutil.copytree(trained, tmp_path / "moved")
    state = torch.load(tmp_path / "moved" / "last.ckpt", weights_only=True)["callbacks"]
    best, last = (c for c in build_callbacks(plan(), tmp_path / "moved", {}, Code()) if isinstance(c, RunCheckpoint))
    for callback in (best, last):
        callback.load_state_dict(state[callback.state_key])
    top1 = state[best.state_key]["best_model_score"]
    here = str(tmp_path / "moved" / "best.ckpt")
    assert best.best_model_score == top1
    assert best.best_k_models == {here: top1}
    assert best.best_model_path == best.kth_best_model_path == here
    assert not best.check_monitor_top_k(Trainer(accelerator="cpu", logger=False), top1 - 1)
    assert best.check_monitor_top_k(Trainer(accelerator="cpu", logger=False), top1 + 1)
    assert last.best_model_path == str(tmp_path / "moved" / "last.ckpt")


# --- read


def test_a_checkpoint_of_this_run_is_taken(trained: Path) -> None:
    content = read_checkpoint(trained / "last.ckpt", build_module(plan()))
    assert (content["epoch"], content["global_step"]) == (0, 1)


def spoil(path: Path, how: str) -> None:
    """Make of last.ckpt what it should not be."""
    whole = torch.load(path, weights_only=True)
    if how == "half":
        path.write_bytes(path.read_bytes()[:1000])
    elif how == "one wrong byte":
        content = bytearray(path.read_bytes())
        where = content.index(whole["state_dict"]["model.fc.bias"].numpy().tobytes())
        content[where] ^= 1
        path.write_bytes(content)
    elif how == "an image":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    elif how == "a zip":
        shutil.make_archive(str(path.with_suffix("")), "zip", path.parent, "nothing_like_it")
        path.with_suffix(".zip").replace(path)
    elif how == "weights only":
        torch.save(whole["state_dict"], path)
    elif how == "no optimizer":
        del whole["optimizer_states"]
        torch.save(whole, path)
    elif how == "a callback":
        next(iter(whole["callbacks"].values()))["time_elapsed"] = None
        torch.save(whole, path)
    elif how == "a list":
        torch.save([1], path)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("half", "damaged"),
        ("one wrong byte", "damaged"),
        ("an image", "damaged"),
        ("a zip", "damaged"),
        ("weights only", "it lacks state_dict"),
        ("no optimizer", "it lacks optimizer_states"),
        ("a list", "it lacks state_dict"),
        ("a callback", "it is not as it was written"),
    ],
)
def test_what_is_no_checkpoint(how: str, message: str, trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "last.ckpt", tmp_path)
    (tmp_path / "nothing_like_it").write_text("text")
    spoil(tmp_path / "last.ckpt", how)
    with pytest.raises(UserError, match=f"{message}.*remove .*last.ckpt, and the same command begins the run again"):
        fit(plan(), run_in(tmp_path))


def test_a_checkpoint_of_another_model(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "last.ckpt", tmp_path)
    with pytest.raises(
        UserError, match=r"last.ckpt is of another model \(.*\(8, 3, 3, 3\) there and \(4, 3, 3, 3\) here"
    ):
        fit(plan(model__width=4), run_in(tmp_path))
    with pytest.raises(UserError, match=r"last.ckpt is of another model \(it lacks model\.layer1"):
        fit(plan(model__name="resnet20"), run_in(tmp_path))


def test_a_best_checkpoint_that_is_missing(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(trained / "last.ckpt", tmp_path)
    to_score_best = plan(eval__weights=Weights.best)
    monkeypatch.setattr(checkpoints.ModelCheckpoint, "on_train_start", lambda *_: pytest.fail("trained before"))
    with pytest.raises(UserError, match=r"best.ckpt is missing: put it back, or remove .*last.ckpt"):
        fit(to_score_best, run_in(tmp_path))
