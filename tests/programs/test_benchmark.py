"""benchmark.py: the right networks, side by side. How fast they are is no matter of a test."""

import csv
import json
import sys
from pathlib import Path

import pytest
import torch

from assemble import create_model
from assemble.exporting.deployed import deviation
from assemble.programs import benchmark
from assemble.programs.benchmark import Engine, Network, Options, _exported, compare, networks, write


def test_networks_are_what_train_would_build():
    with_recipe = networks(["recipe=assemble_e00,assemble_e11"], [], None)
    assert [(n.name, n.size, n.published) for n in with_recipe] == [
        ("assemble_e00", 224, 536),
        ("assemble_e11", 256, 312),
    ]
    more = networks(["model=tiny", "data=digits", "tricks=[],[sk]"], ["timm:test_resnet"], None)
    assert [(n.name, n.size) for n in more] == [
        ("tiny data=digits tricks=[]", 32),
        ("tiny data=digits tricks=[sk]", 32),
        ("timm:test_resnet", 160),
    ]
    assert networks(["model=resnet50"], ["timm:test_resnet"], 64)[0].size == 64


def test_two_networks_side_by_side(tmp_path, monkeypatch, capsys):
    output = tmp_path / "cost.json"
    arguments = ["model=tiny", "data=digits", "tricks=[],[sk]", "batch_size=2", "rounds=2", f"output={output}"]
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *arguments])
    benchmark.main()
    assert "tricks=[sk]" in capsys.readouterr().out
    plain, sk = json.loads(output.read_text())["rows"]
    assert (plain["params"], sk["params"]) == (44_370, 74_162)
    assert plain["ratio"] == 1
    assert sk["macs"] > plain["macs"]
    assert sk["peak_memory"] > plain["peak_memory"] > 4 * 44_370
    assert len(sk["throughputs"]) == len(sk["ratios"]) == 2


def test_each_network_by_each_engine():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    engines = [Engine.torch, Engine.onnx]
    rows = compare(networks(["model=tiny", "data=digits"], [], None, engines), Options(2, rounds=1, engines=engines))
    assert [row.name for row in rows] == ["tiny data=digits", "tiny data=digits onnx"]
    assert {row.params for row in rows} == {44_370}
    assert [row.peak_memory is None for row in rows] == [False, True]
    assert [n.published for n in networks(["recipe=mobilenet_m0"], [], None, [*engines, Engine.int8])] == [
        12.98,
        12.98,
        22.49,
    ]


def test_8_bits_answer_nearly_as_32_do():
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    network = create_model("tiny", num_classes=10).eval()
    images = torch.randn(4, 3, 32, 32)
    for engine, most in ((Engine.onnx, 1e-4), (Engine.int8, 0.2)):
        session = onnxruntime.InferenceSession(_exported(network, 32, engine), providers=["CPUExecutionProvider"])
        logits = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        with torch.no_grad():
            assert deviation(logits, network(images)) < most


def test_training_steps_and_csv(tmp_path):
    options = Options(batch_size=2, rounds=1, training=True)
    rows = compare(networks(["model=tiny", "data=digits"], [], 16), options)
    assert rows[0].peak_memory is None
    write(rows, tmp_path / "cost.csv")
    (record,) = csv.DictReader((tmp_path / "cost.csv").read_text().splitlines())
    assert record["name"] == "tiny data=digits"
    assert float(record["throughput"]) > 0
    assert "ratios" not in record


def test_ratios_are_of_the_same_rounds(monkeypatch):
    """The second network takes twice the first one's time, on a machine that slows down by ten between the rounds."""
    seconds = {"a": [1.0, 10.0, 1.0], "b": [2.0, 20.0, 2.0]}
    monkeypatch.setattr("assemble.models.throughput.timed", lambda run, device: None)
    monkeypatch.setattr("assemble.models.throughput.inference_pass", lambda *_: None)
    monkeypatch.setattr("assemble.paired.interleave", lambda cases, rounds: seconds)
    build = networks(["model=tiny", "data=digits"], [], 16)[0].build
    two = [Network(name, 16, build, reported={"throughput": seen}) for name, seen in (("a", 536), ("b", 312))]
    first, second = compare(two, Options(batch_size=4))
    assert (first.throughput, first.latency_ms, second.throughput) == (4, 1000, 2)
    assert second.ratios == [0.5, 0.5, 0.5]
    assert second.published_ratio == 312 / 536


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a network"),
        (("recipe=assemble_e0",), "unknown recipe"),
        (("batch=2", "model=tiny"), "unknown option 'batch'"),
        (("timm:resnet5",), "timm has no model 'resnet5'"),
        (("resnet50",), "cannot read the argument 'resnet50'"),
        (("nothing.onnx",), "there is no file nothing.onnx"),
        (("model=tiny", "output=cost.txt"), "must end in .json or .csv"),
        (("model=tiny", "dtype=float8"), "expected one of"),
        (("model=tiny", "device=abacus"), "device=abacus cannot be had"),
        (("model=tiny", "engines=[onnx]", "dtype=bfloat16"), "leave device, dtype and training out"),
        (("model=tiny", "rounds=0"), "rounds must be at least 1"),
    ],
)
def test_mistakes(arguments, message, monkeypatch, capsys, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *arguments])
    with pytest.raises(SystemExit) as left:
        benchmark.main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
