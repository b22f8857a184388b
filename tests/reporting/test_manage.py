"""``report.py runs list``, ``diff`` and ``remove``: what is told of runs, and that only runs are removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assemble.paths import ROOT
from assemble.programs.report import main
from tests.helpers.synthetic_runs import default_config, make_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two seeds of no tricks, one with sk, and others that are stopped, begun and damaged."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    for seed in (0, 1):
        make_run(folder, (), seed, 50.0 + seed)
    config = default_config()
    config["optim"]["lr"] = 0.2
    config["tricks"] = {"sk": {"reduction": 4}}
    make_run(folder, ("sk",), 0, 51.5, config=config, recipe="mine", train_seconds=31.0)
    (make_run(folder, ("ema",), 0, finished=False) / "last.ckpt").touch()
    make_run(folder, ("se",), 0, finished=False)
    (make_run(folder, ("sam",), 0) / "result.json").write_text("{")
    kept = folder / "mlartifacts" / "0" / "artifacts"  # MLflow's copies
    kept.mkdir(parents=True)
    (kept / "result.json").write_text(json.dumps({"metrics": {}}))
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    main(arguments)
    return capsys.readouterr().out.splitlines()


def only(runs: Path, start: str) -> Path:
    (found,) = runs.glob(f"{start}*")
    return found


def test_list(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "runs", "list")
    cells = [line.split() for line in lines[1:-1]]
    assert {row[0]: row[1:5] for row in cells} == {
        only(runs, "tiny-digits-plain-s0").name: ["finished", "-", "digits", "50.00"],
        only(runs, "tiny-digits-plain-s1").name: ["finished", "-", "digits", "51.00"],
        only(runs, "tiny-digits-sk").name: ["finished", "mine", "digits", "51.50"],
        only(runs, "tiny-digits-ema").name: ["stopped", "-", "digits", "-"],
        only(runs, "tiny-digits-se-").name: ["begun", "-", "digits", "-"],
        only(runs, "tiny-digits-sam").name: ["damaged", "-", "digits", "-"],
    }
    assert lines[-1].startswith("6 runs in runs, ")
    assert len(said(capsys, "runs", "list", "tricks=[sk]")) == 3
    assert said(capsys, "runs", "list", "recipe=others")[-1] == "0 runs in runs"


def test_diff_of_two_configurations(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "runs", "diff", "plain-s1", only(runs, "tiny-digits-sk").name)
    rows = {row[0]: row[1:] for line in lines[1:] if len(row := line.split()) > 1 and line.startswith("  ")}
    assert rows == {
        "optim.lr": ["0.1", "0.2"],
        "tricks.sk": ["-", "reduction=4"],
        "seed": ["1", "0"],
        "train_seconds": ["30", "31"],
        "top1": ["51", "51.5"],
        "top5": ["90", "90"],
        "loss": ["1", "1"],
        "ece": ["3", "3"],
    }


def test_diff_of_repetitions(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "runs", "diff", "plain-s0", str(only(runs, "tiny-digits-plain-s1")))
    assert lines[0] == "the same settings: these are repetitions of one configuration"
    assert "settings" not in lines
    assert ["seed", "0", "1"] in [line.split() for line in lines]
    stopped = said(capsys, "runs", "diff", "tiny-digits-ema", "tiny-digits-plain-s0")
    assert ["tricks.ema", "selected", "-"] in [line.split() for line in stopped]


def test_remove(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = only(runs, "tiny-digits-sk")
    lines = said(capsys, "runs", "remove", chosen.name, "yes=true")
    assert lines[0] == f"removed runs/{chosen.name}"
    assert lines[-1].startswith("1 run, ")
    assert not chosen.exists()
    assert len(said(capsys, "runs", "remove", "tiny-digits-plain-*", "tiny-digits-plain-s0*", "--yes")) == 3
    assert len(list(runs.iterdir())) == 4, "mlartifacts and three others stay"


@pytest.mark.parametrize(("answer", "gone"), [("y", True), ("Yes", True), ("", False), ("n", False)])
def test_remove_asks(
    answer: str, gone: bool, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, asked = only(runs, "tiny-digits-sk"), list[str]()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    lines = said(capsys, "runs", "remove", chosen.name)
    assert lines[0] == f"  runs/{chosen.name} (finished)"
    assert asked[0].startswith("Remove 1 run, ")
    assert chosen.exists() is not gone
    assert (lines[1] == "nothing was removed") is not gone


def test_a_run_that_is_trained_is_not_removed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = only(runs, "tiny-digits-ema")
    code = (
        "import sys\nfrom pathlib import Path\nfrom assemble.runs.directory import lock\n"
        "held = lock(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(chosen)], cwd=ROOT, **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        states = {line.split()[0]: line.split()[1] for line in said(capsys, "runs", "list")}
        with pytest.raises(SystemExit):
            main(["runs", "remove", "tiny-*", "yes=true"])
        holder.stdin.close()
    assert f"is being worked on by process {holder.pid}" in capsys.readouterr().err
    assert states[chosen.name] == "training"
    assert len(list(runs.iterdir())) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "list"], "there is no folder nowhere"),
        (["runs", "list", "x"], "list takes no x: filter by"),
        (["runs", "list", "html=x.html"], "html=.. is not for list"),
        (["runs", "yes=true"], "yes=.. is not for the table"),
        (["runs", "diff", "tiny-sk"], "diff compares two runs: write runs diff A B"),
        (
            ["runs", "diff", "tiny-digits-plain", "tiny-digits-sk"],
            "'tiny-digits-plain' may be any of tiny-digits-plain-s0-",
        ),
        (
            ["runs", "diff", "tiny-digits-skk", "tiny-digits-sk"],
            "unknown run of runs 'tiny-digits-skk'. Did you mean 'tiny-digits-sk-s0-",
        ),
        (["runs", "remove"], "which? Write runs remove NAME.."),
        (["runs", "remove", "tiny", "yes=true"], "unknown run of runs 'tiny'"),
        (["runs", "remove", "runs", "yes=true"], "unknown run of runs 'runs'"),
        (["runs", "remove", "runs/mlartifacts", "yes=true"], "unknown run of runs 'runs/mlartifacts'"),
        (["runs", "remove", "tiny-*"], "nobody can be asked whether to remove 6 runs, "),
    ],
)
def test_mistakes(arguments: list[str], message: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")
    assert len(list(runs.iterdir())) == 7


@pytest.mark.process
def test_as_a_program_without_torch(runs: Path) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        str(ROOT / "report.py"),
        "runs",
        "diff",
        "plain-s0",
        "tiny-digits-sk",
    ]
    done = subprocess.run(command, cwd=runs.parent, env=dict(os.environ), capture_output=True, text=True, check=True)
    assert "optim.lr" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "scipy", "pytorch_lightning", "wandb"}
