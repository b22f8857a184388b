"""Robustness that evaluate.py has found of finished runs stands beside their scores."""

import json
from pathlib import Path
from typing import Any

import pytest

from assemble.errors import UserError
from assemble.reporting.report import Report, make_report
from tests.helpers.synthetic_runs import make_run

SETTINGS = {"corruptions": "on_the_fly", "extra": False, "preset": None, "jpeg": False, "frost_textures": None}
CLEAN = {"top1": 1.0, "top5": 2.0, "loss": 3.0, "ece": 4.0, "ece_10": 5.0}


def evaluated(folder: Path, run: Path, error: float, name: str = "", **more: Any) -> None:
    """Write what evaluate.py writes of a run's last checkpoint."""
    content = {
        "evaluated": {"source": f"/elsewhere/{run.name}/last.ckpt", "images": more.pop("images", "0a")},
        "metrics": {**CLEAN, "corruption_error": error},
        "count": 100,
        "robustness": {"settings": SETTINGS, "images": "100 of 32 pixels", "preset": "cifar"},
        **more,
    }
    path = folder / (name or run.name) / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def report(folder: Path, **more: Any) -> Report:
    return make_report([folder / "runs"], evaluations=folder / "evaluations", **more)


def test_gains_are_of_what_was_evaluated(tmp_path: Path) -> None:
    """Accuracy stays that of the run, whose images are others."""
    for seed in range(3):
        for tricks, error in (((), 40.0), (("sk",), 37.0 + seed)):
            run = make_run(tmp_path / "runs", tricks, seed, 60.0)
            if (seed, tricks) != (2, ()):
                evaluated(tmp_path / "evaluations", run, error)
    (table,) = report(tmp_path, metric_name="corruption_error").tables
    plain, sk = table.rows
    assert plain.values("corruption_error") == {(0,): 40.0, (1,): 40.0}
    assert sk.gain is not None
    assert (sk.gain.n, sk.gain.mean, sk.gain.over) == (2, 2.5, "seeds 0, 1")
    assert sk.mean("top1") == 60.0
    assert sk.notes == ["robustness by evaluate.py, on 100 images"]


def test_other_images_are_another_metric(tmp_path: Path) -> None:
    for seed, images in enumerate(("0a", "0b")):
        run = make_run(tmp_path / "runs", (), seed, 60.0)
        evaluated(tmp_path / "evaluations", run, 40.0 + seed, images=images)
    (row,) = report(tmp_path).tables[0].rows
    assert row.values("corruption_error (scored=0a)") == {(0,): 40.0}
    assert row.values("corruption_error (scored=0b)") == {(1,): 41.0}


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", (), 0, 60.0)
    with pytest.raises(UserError, match=r"no evaluation\.json in .*/evaluations has a robustness of these runs"):
        report(tmp_path)
    evaluated(tmp_path / "evaluations", run, 40.0, "clean", robustness=None)
    with pytest.raises(UserError, match="has a robustness of these runs"):
        report(tmp_path)
    evaluated(tmp_path / "evaluations", run, 40.0, "one")
    assert report(tmp_path).tables[0].rows[0].mean("corruption_error") == 40.0
    evaluated(tmp_path / "evaluations", run, 41.0, "two")
    with pytest.raises(UserError, match=rf"two/evaluation\.json and .*one/evaluation\.json are both of {run.name}"):
        report(tmp_path)
    (tmp_path / "evaluations/two/evaluation.json").write_text("{")
    with pytest.raises(UserError, match=r"two/evaluation\.json is damaged .*: remove it"):
        report(tmp_path)
    (tmp_path / "evaluations/two/evaluation.json").unlink()
    itself = make_run(
        tmp_path / "runs", ("sk",), 0, metrics={"corruption_error": 1.0}, robustness={"settings": SETTINGS}
    )
    with pytest.raises(UserError, match=rf"{itself.name} has scored its robustness itself"):
        report(tmp_path)
    assert [row.tricks for row in report(tmp_path, keep=lambda run: not run.result["tricks"]).tables[0].rows] == [[]]
