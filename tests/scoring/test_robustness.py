"""Robustness as a part of a training run's result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from assemble.errors import UserError
from assemble.models.throughput import Speed
from assemble.planning.plan import make_plan
from assemble.runs.directory import open_run, write_result
from assemble.runs.result import asked_robustness, has_asked_scores
from assemble.schema import Config, Corruptions
from assemble.scoring.finished_run import score_run
from assemble.scoring.robustness import with_robustness
from lit_modules.classifier import Classifier
from tests.helpers.synthetic_runs import OF_RUN
from tests.helpers.teachers import checkpoint, small


@pytest.fixture(autouse=True)
def one_corruption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assemble.robustness.sets.CORRUPTIONS", ("contrast",))
    monkeypatch.setattr("assemble.robustness.scores.mean_error.__defaults__", (("contrast",),))


def config(output_dir: Path) -> Config:
    cfg = small(image_size=28)
    cfg.output_dir, cfg.trainer.progress_bar = str(output_dir), False
    cfg.eval.corruptions = Corruptions.on_the_fly
    return cfg


def finished(cfg: Config) -> tuple[Any, Classifier]:
    """A run that is finished, but not scored under corruptions."""
    run = open_run(OmegaConf.structured(cfg))
    module = checkpoint(run.directory / "last.ckpt", cfg)
    write_result(run, {**OF_RUN, "metrics": {"top1": 60.0, "top5": 90.0, "loss": 1.0, "ece": 5.0}, "epochs": 1})
    return run, module


def test_a_finished_run_gets_its_scores_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr("assemble.scoring.finished_run.log_later_result", lambda *told: logged.append(told[-1]))
    cfg = config(tmp_path)
    run, module = finished(cfg)
    assert run.finished
    assert not run.complete
    with run:
        score_run(cfg, run)
    assert run.complete
    result = json.loads((run.directory / "result.json").read_text())
    assert set(result["metrics"]) == {"top1", "top5", "loss", "ece", "corruption_error"}
    assert result["epochs"] == 1
    assert logged == [result]
    block = result["robustness"]
    assert block["clean_error"] == 40
    assert block["corruption_error"] == result["metrics"]["corruption_error"]
    assert "contrast" in capsys.readouterr().out
    # One of the errors, computed by the training module on the same images.
    data = make_plan(cfg, []).data
    assert data is not None
    from assemble.data.sources import Scored
    from assemble.robustness.choice import open_set
    from lit_modules.datamodule import collate

    scored = Scored(data.classes, data.source.test, data.source.eval_crop)
    corrupted = open_set(cfg.eval, cfg.data, scored).images("contrast", 3)  # type: ignore[union-attr]
    images, labels = collate([corrupted[i] for i in range(len(corrupted))])
    with torch.no_grad():
        wrong = (module.eval()(images).argmax(1) != labels).float().mean()
    assert block["error_by_severity"]["contrast/3"] == pytest.approx(100 * wrong.item(), abs=1e-3)


def test_other_corruptions_take_the_place_of_the_first(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    run, _ = finished(cfg)
    with run:
        score_run(cfg, run)
    cfg.eval.corruptions_jpeg = True
    with open_run(OmegaConf.structured(cfg)) as again:
        assert again.directory == run.directory  # no other run
        assert not again.complete
        score_run(cfg, again)
        assert again.complete
    assert len(list(run.directory.glob("robustness-*.json"))) == 2


def test_a_finished_run_gets_its_throughput(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assemble.scoring.finished_run.measure_speed", lambda network, image_size: Speed(64, [2.0]))
    cfg = config(tmp_path)
    cfg.eval.corruptions = None
    run, _ = finished(cfg)
    with run:
        assert run.complete
    cfg.eval.throughput = True
    with open_run(OmegaConf.structured(cfg)) as again:
        assert again.directory == run.directory
        assert not again.complete
        score_run(cfg, again)
        assert again.complete
    result = json.loads((run.directory / "result.json").read_text())
    assert (result["throughput"], result["metrics"]["top1"], "robustness" in result) == (32.0, 60.0, False)


def test_what_cannot_be_scored_is_told_before_training(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.eval.corruptions = Corruptions.imagenet_c
    with pytest.raises(UserError, match=r"needs eval\.corruptions_root=DIR"):
        make_plan(cfg, [])


def test_weights_trained_anew_are_scored_anew(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    run, _ = finished(cfg)
    with run:
        score_run(cfg, run)
    first = json.loads((run.directory / "result.json").read_text())["robustness"]
    torch.manual_seed(1)  # as if last.ckpt and result.json had been removed, and the run begun again
    cfg.seed, weights = 1, run.directory / "last.ckpt"
    checkpoint(weights, cfg)
    cfg.seed = 0
    write_result(run, {**OF_RUN, "metrics": {"top1": 60.0}})
    with run:
        score_run(cfg, run)
    assert json.loads((run.directory / "result.json").read_text())["robustness"]["error"] != first["error"]


def test_settings_of_corruptions_that_nobody_asked_for(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.eval.corruptions, cfg.eval.corruptions_jpeg = None, True
    with pytest.raises(UserError, match=r"eval\.corruptions_jpeg changes nothing without eval\.corruptions"):
        make_plan(cfg, [])


def test_weights_that_are_gone(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    run, _ = finished(cfg)
    (run.directory / "last.ckpt").unlink()
    with run, pytest.raises(UserError, match=r"last\.ckpt is missing, and its weights are to be scored"):
        score_run(cfg, run)


def asked(**values: Any) -> dict[str, Any]:
    cfg = OmegaConf.structured(Config)
    cfg.eval.update(values)
    plain: Any = OmegaConf.to_container(cfg, enum_to_str=True)
    return plain


def test_which_settings_count() -> None:
    assert asked_robustness(asked()) is None
    one = asked_robustness(asked(corruptions="imagenet_c", corruptions_root="a"))
    assert one == {"corruptions": "imagenet_c", "root": "a"}
    assert has_asked_scores({"robustness": {"settings": one}}, asked(corruptions="imagenet_c", corruptions_root="a"))
    assert not has_asked_scores({"robustness": {"settings": one}}, asked(corruptions="on_the_fly"))
    assert has_asked_scores({"robustness": {"settings": one}}, asked())
    assert not has_asked_scores(None, asked())


def test_the_metrics_name_says_what_it_is() -> None:
    result = {"metrics": {"top1": 50.0, "corruption_error": 1.0}}
    mce = {"mce": 70.0, "corruption_error": 60.0}
    assert with_robustness(result, mce)["metrics"] == {"top1": 50.0, "mce": 70.0}
    assert with_robustness(result, {**mce, "frost_comparable": True})["metrics"]["mce"] == 70
    drawn = with_robustness(result, {**mce, "frost_comparable": False})
    assert drawn["metrics"] == {"top1": 50.0, "mce_drawn_frost": 70.0}
    assert with_robustness(drawn, {"mfr": 40.0})["metrics"] == {"top1": 50.0, "mfr": 40.0}
