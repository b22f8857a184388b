"""export.py: each file answers as the checkpoint does when others open it, or is not written."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from assemble import create_model
from assemble.exporting import deployed, formats
from assemble.programs import export
from assemble.scoring.trained import Trained, open_trained
from tests.helpers.teachers import checkpoint

TRICKS = {"resnet_d": {}, "sk": {"reduction": 4}, "anti_alias": {}}
CLASSES = ["zero", "één", *map(str, range(2, 10))]
RESULT = {
    "recipe": "a_recipe",
    "config_hash": "a",
    "tricks": ["sk"],
    "weights": "last",
    "command": "python train.py +tricks=[sk]",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's directory with a checkpoint; results of it, of its repetition with another seed, and of another run."""
    for name, seed, top1, more in (
        ("tiny-s0", 0, 90.0, {}),
        ("tiny-s1", 1, 94.0, {}),
        ("x", 0, 1.0, {"config_hash": "b"}),
    ):
        (tmp_path / name).mkdir()
        result = {**RESULT, "run_id": name, "seed": seed, "metrics": {"top1": top1, "loss": 0.5}, **more}
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    checkpoint(tmp_path / "tiny-s0" / "last.ckpt", tricks=TRICKS, classes=CLASSES)
    return tmp_path / "tiny-s0"


def command(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["export.py", *arguments])
    try:
        export.main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def same_answers(logits: torch.Tensor, trained: Trained, images: torch.Tensor) -> bool:
    """To float32's noise, and not because there was nothing to tell apart."""
    reference = trained(images)
    assert reference.std() > 1e-2
    return deployed.deviation(logits, reference) < 1e-5


def test_weights_and_program(run, monkeypatch, capsys):
    assert command(monkeypatch, f"checkpoint={run / 'last.ckpt'}", "formats=[safetensors,pt2]") == 0
    out, trained, images = run / "export", open_trained(str(run / "last.ckpt")), deployed.noise(5, 16)
    assert {path.name for path in out.iterdir()} == {"README.md", "config.yaml", "model.safetensors", "model.pt2"}
    assert "logits deviate by" in capsys.readouterr().out
    again = open_trained(str(out / "model.safetensors"))
    assert again.digest() == trained.digest()
    with torch.no_grad():
        about = {"classes": ""}
        assert same_answers(torch.export.load(out / "model.pt2", extra_files=about).module()(images), trained, images)
    assert json.loads(about["classes"]) == CLASSES

    card = (out / "README.md").read_text()
    for part in (
        "# tiny+anti_alias+resnet_d+sk",
        "sk (reduction=4)",
        "a_recipe",
        "`python train.py +tricks=[sk]`",
        "| top-1 % | 90 | 92 ± 2.8 |",  # of 90 and 94; the other run has no part in it
        "n = 2 seeds",
        "`model.pt2`",
        "In their order: zero, één, 2, 3",
    ):
        assert part in card
    assert "The scores are of" not in card


def test_a_card_of_which_one_seed_alone_has_robustness(run, monkeypatch):
    file = run / "result.json"
    result = json.loads(file.read_text())
    result["metrics"]["corruption_error"] = 30.0
    file.write_text(json.dumps(result))
    assert command(monkeypatch, f"checkpoint={run / 'last.ckpt'}") == 0
    card = (run / "export" / "README.md").read_text()
    assert "| top-1 % | 90 | 92 ± 2.8 |" in card
    assert "| corruption_error | 30 |  |" in card


def test_a_card_says_when_its_scores_are_of_other_weights(run, monkeypatch):
    (run / "last.ckpt").rename(run / "best.ckpt")
    assert command(monkeypatch, f"checkpoint={run / 'best.ckpt'}", f"output={run / 'out'}") == 0
    assert "The scores are of last.ckpt of the run, not of best.ckpt" in (run / "out" / "README.md").read_text()


def test_attention_pools_where_8_bits_can():
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    network, images = create_model("tiny", tricks={"se": {}}, num_classes=10).eval(), torch.randn(2, 3, 32, 32)
    content = formats.pooled(formats.onnx(network, 32))
    kinds = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert kinds.count("GlobalAveragePool") == 6  # the blocks' attention
    assert kinds.count("ReduceMean") == 1  # before the classifier, without height and width
    with torch.no_grad():
        assert deployed.deviation(formats.run_onnx(content)(images), network(images)) < 1e-5


def test_onnx_and_int8(run, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    arguments = (f"checkpoint={run / 'last.ckpt'}", "formats=[onnx,int8]", "pictures=20", "least=0.5")
    assert command(monkeypatch, *arguments) == 0
    out, trained, images = run / "export", open_trained(str(run / "last.ckpt")), deployed.noise(5, 16)

    def answers(name: str) -> torch.Tensor:
        session = onnxruntime.InferenceSession(out / name, providers=["CPUExecutionProvider"])
        told = session.get_modelmeta().custom_metadata_map
        assert json.loads(told["classes"]) == CLASSES
        assert (told["image_size"], told["label_offset"]) == ("16", "0")
        return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])

    assert same_answers(answers("model.onnx"), trained, images)
    rough = deployed.deviation(answers("model.int8.onnx"), trained(images))
    assert 1e-5 < rough < 0.2  # 8 bits are seen, and are enough
    assert "on 100.0 % of 20 test images" in (out / "README.md").read_text()


def test_what_answers_otherwise_is_not_written(run, monkeypatch, capsys):
    spoilt = formats.run_pt2
    monkeypatch.setattr(formats, "run_pt2", lambda content: lambda images: spoilt(content)(images) + 1e-3)
    assert command(monkeypatch, f"checkpoint={run / 'last.ckpt'}", "formats=[pt2]") == 2
    assert "answers otherwise" in capsys.readouterr().err
    assert not (run / "export" / "model.pt2").exists()


def test_agreement():
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert deployed.agreement(logits, torch.tensor([[0.0, 1.0]]).expand(4, 2)) == 0.75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("checkpoint=nothing.ckpt",), "there is no checkpoint nothing.ckpt"),
        (("chekpoint=a",), "Did you mean 'checkpoint'?"),
        (("checkpoint=CKPT", "formats=[onxn]"), "expected one of"),
        (("checkpoint=CKPT", "formats=[]"), "asks for nothing"),
        (("checkpoint=CKPT", "least=2"), "least is a share"),
        (("checkpoint=CKPT", "formats=[int8]"), "needs onnx: pip install -e '.[onnx]'"),
    ],
)
def test_mistakes(arguments, message, run, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command(monkeypatch, *(part.replace("CKPT", str(run / "last.ckpt")) for part in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not (run / "export").exists()


def test_images_are_spread_over_the_classes():
    from assemble.exporting.calibration import source_of, spread_over

    source = source_of({"data": {"name": "digits", "image_size": 8}})
    images = spread_over(source.test, source, 10)
    assert images.shape == (10, 3, 8, 8)
    assert images.dtype is torch.float32
    first = source.test.load(0, source.eval_crop)
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), first)
    assert len(spread_over(source.test, source, 10_000)) == 300
