"""The whole way, as a user goes it: the command line, Ctrl-C, kill -9, and mistakes that show only in training.

Commands are the user's own, `train`, or, where the start is not what is tested, processes that began by a fork.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.helpers import forked

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("data.image_size=16", "trainer.limit_train_batches=0.3", "trainer.log_every_n_steps=1")


def command(*overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *overrides]


def train(tmp_path: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return subprocess.run(
        command(*overrides), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )


def only_run(tmp_path: Path) -> Path:
    (run,) = (path for path in (tmp_path / "runs").iterdir() if path.name != "sweeps")
    return run


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "last.ckpt", weights_only=True)["state_dict"]


def assert_mistake(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """One line that says what to do, exit code 2, no traceback."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in lines[0]


def test_from_the_command_line_to_a_result(tmp_path: Path) -> None:
    overrides = ("+tricks=[resnet_d,sk,mixup]", "trainer.max_epochs=1", "eval.throughput=true", *QUICK)
    done = train(tmp_path, *overrides)
    assert done.returncode == 0, done.stderr
    assert "64 = 1 device x 64 images (2 drawn for each)" in " ".join(done.stdout.split())
    run = only_run(tmp_path)
    result = json.loads((run / "result.json").read_text())
    assert result["run_id"] == run.name
    assert result["tricks"] == ["mixup", "resnet_d", "sk"]
    assert (result["recipe"], result["seed"], result["epochs"]) == (None, 0, 1)
    assert set(result["metrics"]) == {"top1", "top5", "loss", "ece"}
    assert 0 <= result["metrics"]["top1"] <= result["metrics"]["top5"] <= 100
    assert result["params"] == 74_162
    assert result["command"] == " ".join(["python train.py", "'+tricks=[resnet_d,sk,mixup]'", *overrides[1:]])
    assert result["throughput"] > 0
    assert {"macs", "train_seconds", "hardware", "versions", "git_commit", "dirty", "config_hash"} <= set(result)
    assert {path.name for path in run.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    assert torch.load(run / "last.ckpt", weights_only=True)["config"]["tricks"]["sk"]["reduction"] == 2

    written = (run / "result.json").stat().st_mtime_ns
    again = forked.train(tmp_path, *overrides)
    assert again.returncode == 0
    assert "finished already" in again.stdout
    assert (run / "result.json").stat().st_mtime_ns == written


def test_killed_and_run_again_it_ends_where_it_would_have_ended(tmp_path: Path) -> None:
    overrides = ("+tricks=[mixup,dropblock]", "trainer.max_epochs=4", *QUICK)
    (tmp_path / "whole").mkdir()
    assert forked.train(tmp_path / "whole", *overrides).returncode == 0

    (tmp_path / "killed").mkdir()
    process = subprocess.Popen(
        command(*overrides), cwd=tmp_path / "killed", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _wait_for_checkpoint(tmp_path / "killed", process)
    process.kill()
    process.wait()
    run = only_run(tmp_path / "killed")
    assert not (run / "result.json").exists()

    done = train(tmp_path / "killed", *overrides)
    assert done.returncode == 0, done.stderr
    assert "(going on)" in " ".join(done.stdout.split())
    assert torch.load(run / "last.ckpt", weights_only=True)["epoch"] == 3  # the last epoch, not the best
    expected, found = weights(only_run(tmp_path / "whole")), weights(run)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    assert (run / "metrics.csv").read_text() == (only_run(tmp_path / "whole") / "metrics.csv").read_text()


def test_a_damaged_checkpoint_is_named_and_kept(tmp_path: Path) -> None:
    overrides = ("trainer.max_epochs=1", *QUICK)
    assert forked.train(tmp_path, *overrides).returncode == 0
    run = only_run(tmp_path)
    (run / "result.json").unlink()
    half = (run / "last.ckpt").read_bytes()[:1000]
    (run / "last.ckpt").write_bytes(half)
    assert_mistake(forked.train(tmp_path, *overrides), "last.ckpt is damaged", "remove")
    assert (run / "last.ckpt").read_bytes() == half


def test_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("trainer.max_epochs=1000", *QUICK),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Shells let the commands that they put into the background ignore it, the tests perhaps among them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        _wait_for_checkpoint(tmp_path, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted: the same command goes on" in errors.decode()
    assert "Traceback" not in errors.decode()
    assert weights(only_run(tmp_path))


def _wait_for_checkpoint(tmp_path: Path, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/last.ckpt")):
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_sweep_as_shipped(tmp_path: Path) -> None:
    sweep = ("-m", "hydra/sweeper=ablation", "+tricks=[se]", "tricks.se.reduction=4")
    done = forked.train(tmp_path, *sweep, "trainer.max_epochs=1", *QUICK)
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/result.json")]
    assert sorted(result["tricks"] for result in results) == [[], ["se"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]  # nothing else is left in the user's folder


@pytest.mark.slow
def test_two_sweeps_at_once(tmp_path: Path) -> None:
    sweep = [sys.executable, str(ROOT / "train.py"), "-m", "hydra/sweeper=ablation", "+tricks=[se]"]
    command = [*sweep, "trainer.max_epochs=2", *QUICK]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen(command, cwd=tmp_path, **pipes) for _ in range(2)]
    said = [process.communicate(timeout=280)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    results = list((tmp_path / "runs").glob("*/result.json"))
    assert len(results) == 2
    assert len(list((tmp_path / "runs" / "sweeps").glob("*/plan.json"))) == 2
    # Each was trained by one of the two, from its beginning to its end.
    assert sum(text.count("precision ") for text in said) == 2
    assert not any("going on" in text for text in said)


def test_explain_writes_nothing(tmp_path: Path) -> None:
    done = forked.train(tmp_path, "recipe=assemble_e06", "explain=true")
    assert done.returncode == 0, done.stderr
    assert "SelectiveKernel(reduction=2" in done.stdout
    assert re.search(r"^run +runs/resnet50-imagenet-\S+, not begun yet \(by another name", done.stdout, re.MULTILINE)
    assert not list(tmp_path.iterdir())


def test_nan_loss_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    done = forked.train(tmp_path, "optim.lr=1e12", "optim.warmup_epochs=0", "trainer.max_epochs=2", *QUICK)
    assert_mistake(done, "the training loss is nan", "lower optim.lr")
    assert not list(tmp_path.glob("runs/*/*.ckpt"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for split in ("train", "val"):
        for label, colour in enumerate(((200, 30, 30), (30, 30, 200))):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(8):
                Image.new("RGB", (40, 30 + i), colour).save(folder / f"{i}.png")
    return root


def test_own_images_and_an_unreadable_one(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("data=imagefolder", f"data.root={images}", "data.image_size=32", "data.batch_size=8")
    overrides += ("trainer.max_epochs=1", "data.num_workers=1")
    done = forked.train(tmp_path, *overrides)
    assert done.returncode == 0, done.stderr
    assert json.loads((only_run(tmp_path) / "result.json").read_text())["data"] == "imagefolder"

    (images / "train" / "class1" / "3.png").write_bytes(b"no image")
    assert_mistake(forked.train(tmp_path, *overrides, "seed=1"), "class1/3.png", "replace it, or remove it")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = forked.train(tmp_path, *overrides, "seed=2", "data.on_bad_image=skip")
    assert done.returncode == 0, done.stderr
    assert "train: 1 bad: class1/3.png" in " ".join(done.stdout.split())
    (result,) = tmp_path.glob("runs/*-s2-*/result.json")
    assert json.loads(result.read_text())["bad_images"] == {"train": 1, "val": 0}


def test_devices_that_do_not_exist(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert_mistake(forked.train(tmp_path, "trainer.accelerator=gpu", *QUICK), "trainer.accelerator=gpu")
    assert not list(tmp_path.glob("runs/*"))


def test_two_devices(tmp_path: Path) -> None:
    overrides = ("trainer.devices=2", "trainer.accelerator=cpu", "+tricks=[mixup]", "trainer.max_epochs=1")
    done = train(tmp_path, *overrides, *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("64 = 2 devices x 32 images") == 1
    assert (only_run(tmp_path) / "result.json").is_file()


def test_of_two_devices_one_tells_the_mistake(tmp_path: Path) -> None:
    overrides = ("trainer.devices=2", "trainer.accelerator=cpu", "optim.lr=1e12", "optim.warmup_epochs=0")
    assert_mistake(forked.train(tmp_path, *overrides, *QUICK), "the training loss is")


@pytest.mark.slow
def test_compiled(tmp_path: Path) -> None:
    done = train(tmp_path, "trainer.compile=true", "+tricks=[sk,dropblock]", "trainer.max_epochs=1", *QUICK)
    assert done.returncode == 0, done.stderr


def test_a_student_learns_from_a_run_before_it(tmp_path: Path) -> None:
    """A run's checkpoint as the teacher; its logits stored first, then enough by themselves."""
    assert forked.train(tmp_path, "trainer.max_epochs=1", *QUICK).returncode == 0
    teacher = f"tricks.distillation.teacher={only_run(tmp_path) / 'best.ckpt'}"
    stored = ("+tricks=[resnet_d,sk,label_smoothing,mixup,dropblock,distillation]", "tricks.distillation.cache=logits")
    prepared = forked.train(tmp_path, *stored, teacher, "prepare=true", *QUICK)
    assert prepared.returncode == 0, prepared.stderr
    assert (tmp_path / "logits" / "logits-00000.npy").is_file()
    only_run(tmp_path)  # nothing was trained
    done = forked.train(tmp_path, *stored, "trainer.max_epochs=1", *QUICK)
    assert done.returncode == 0, done.stderr
    (result,) = (json.loads(f.read_text()) for f in tmp_path.glob("runs/*/result.json") if "plain" not in f.parent.name)
    assert "distillation" in result["tricks"]
    online = ("+tricks=[distillation]", teacher, "model.num_classes=12")
    assert_mistake(forked.train(tmp_path, *online, *QUICK), "teacher has 10 classes and the network 12")
