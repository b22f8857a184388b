"""``python report.py``: what a user types, and what comes back."""

import subprocess
import sys
from pathlib import Path

import pytest

from assemble.paths import ROOT
from assemble.programs.report import main
from tests.helpers.synthetic_runs import make_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in (0, 1):
        make_run(tmp_path / "runs", (), seed, 50.0 + seed, curve=[40.0, 50.0])
        make_run(tmp_path / "runs", ("sk",), seed, 51.0 + seed / 2, curve=[40.0, 51.0])
    return tmp_path / "runs"


def test_everything_at_once(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(runs, ("ema",), 0, finished=False)
    torn = make_run(runs, ("se",), 0) / "result.json"
    torn.write_text(torn.read_text()[:40])
    out = tmp_path / "out"
    files = {f"--{kind}": out / f"table.{kind}" for kind in ("markdown", "csv", "latex", "html")}
    files["--curves"] = out / "errors.svg"
    main([str(runs), *(str(part) for pair in files.items() for part in pair), "--png", str(out / "plots")])
    said = capsys.readouterr()
    assert "50.50 ± 0.71" in said.out
    assert f"{torn} is damaged" in said.err
    assert "1 unfinished: tiny-digits-ema-s0-" in said.err
    assert all(path.stat().st_size > 100 for path in files.values())
    assert sorted(path.name for path in (out / "plots").iterdir()) == ["curves.png", "gains.png", "score.png"]
    assert said.out.count("wrote ") == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["{}", "--metric", "topp1"], "unknown metric 'topp1'. Did you mean 'top1'?"),
        (["{}", "--baseline", "skk"], "unknown baseline 'skk'. Did you mean 'sk'?"),
        (["{}", "--tricks", "sk,mixp"], "unknown trick 'mixp'. Did you mean 'mixup'?"),
        (["{}", "--recipe", "assemble_e0*"], "the filters keep no finished run of the"),
        (["{}", "--htm", "x"], "unknown option '--htm'. Did you mean 'html'?"),
        (["{}", "htm=x"], "unknown option 'htm'. Did you mean 'html'?"),
        (["{}", "tricks=[sk,mixp]"], "unknown trick 'mixp'. Did you mean 'mixup'?"),
        (["{}", "--html"], "--html has no value: write html=VALUE"),
        (["{}", "--curves", "x"], "x does not say what image it is"),
        (["{}", "png=out/a.png"], "png=out/a.png is to be a folder of plots: write png=out/a"),
        (["{}", "--csv", "/proc/none/x.csv"], "cannot write /proc/none/x.csv: "),
    ],
)
def test_mistakes_get_one_line(
    runs: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([argument.format(runs) for argument in arguments])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {message}")


@pytest.mark.process
def test_as_a_program(runs: Path) -> None:
    """From another directory, with runs as the default folder; without importing torch."""
    command = [sys.executable, "-X", "importtime", str(ROOT / "report.py")]
    done = subprocess.run(command, cwd=runs.parent, capture_output=True, text=True, check=True)
    assert "no tricks" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "assemble.reporting.statistics" in imported
    assert not imported & {"torch", "matplotlib", "pytorch_lightning", "wandb"}
    # A typo is answered before scipy is.
    done = subprocess.run([*command, "--metrc=x"], cwd=runs.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "scipy" not in done.stderr
