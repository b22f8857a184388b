"""All examples of docs/python.md, one after the other as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs.tables import DOCS

BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / "python.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.process  # for its time alone: three short trainings
@pytest.mark.filterwarnings("ignore:Found keys that are not in the model state dict")
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) >= 8
    assert {language for language, _ in BLOCKS} == {"python"}
    names: dict[str, Any] = {"__name__": "page"}
    for number, (_, code) in enumerate(BLOCKS):
        exec(compile(code, f"docs/python.md, block {number + 1}", "exec"), names)
    said = capsys.readouterr().out
    assert "unknown trick 'mixp'. Did you mean 'mixup'?" in said
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text())
    assert f"{run.name} {result['metrics']['top1']}" in said
    assert (result["seed"], result["tricks"]) == (1, ["label_smoothing", "mixup", "resnet_d"])
    assert names["scores"][0]["test/top1"] == result["metrics"]["top1"], "fit does what train did"
    assert list((tmp_path / "checkpoints").glob("*.ckpt"))
