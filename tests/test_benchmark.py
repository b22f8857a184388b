"""benchmark.py: the right networks, side by side. How fast they are is no matter of a test."""

import csv
import json
import sys
from pathlib import Path

import pytest

import benchmark
from benchmark import Network, Options, compare, networks, write


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
    monkeypatch.setattr("models.throughput.timed", lambda run, device: None)
    monkeypatch.setattr("models.throughput.inference_pass", lambda *_: None)
    monkeypatch.setattr("benchmarks.paired.interleave", lambda cases, rounds: seconds)
    build = networks(["model=tiny", "data=digits"], [], 16)[0].build
    first, second = compare([Network("a", 16, build, 536), Network("b", 16, build, 312)], Options(batch_size=4))
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
