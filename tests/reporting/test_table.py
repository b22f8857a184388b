"""Rows: which runs are pooled, what a row is called, in which order, and what it is compared with."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from assemble.errors import UserError
from assemble.reporting.differences import recipe_config
from assemble.reporting.metrics import METRICS
from assemble.reporting.read import find, read
from assemble.reporting.table import Row, Table, tables
from assemble.runs.sweep_folder import SweepFolder
from tests.helpers.synthetic_runs import default_config, make_run

TOP1 = METRICS["top1"]


def made(folder: Path, **more: Any) -> list[Table]:
    return tables(read(find([folder])).runs, more.pop("plans", []), more.pop("metric", TOP1), **more)


def labels(folder: Path, **more: Any) -> list[str]:
    (table,) = made(folder, **more)
    return [row.label for row in table.rows]


def config(**changes: Any) -> dict[str, Any]:
    """The default configuration with dotted keys changed (double underscores are dots)."""
    whole = default_config()
    for key, value in changes.items():
        group, _, name = key.partition("__")
        whole[group][name] = value
    return whole


def test_seeds_are_pooled_and_configurations_are_not(tmp_path: Path) -> None:
    for seed, top1 in enumerate([50.0, 52.0, 54.0]):
        make_run(tmp_path, (), seed, top1)
        make_run(tmp_path, ("sk",), seed, top1 + 1 + 0.5 * (seed - 1))
    make_run(tmp_path, (), 0, 90.0, config=config(trainer__max_epochs=300))
    (table,) = made(tmp_path)
    assert [(row.label, row.n) for row in table.rows] == [("no tricks", 3), ("sk", 3), ("no tricks, max_epochs=300", 1)]
    plain, sk, longer = table.rows
    assert plain.spread("top1") is not None
    assert (plain.spread("top1").mean, plain.spread("top1").sd) == (52.0, 2.0)  # type: ignore[union-attr]
    assert plain.gain is None
    assert plain.step is None
    assert sk.gain is not None
    assert (sk.gain.n, sk.gain.mean) == (3, 1.0)
    assert sk.step is not None
    assert (sk.step.n, sk.step.mean) == (3, 1.0)
    assert longer.gain is not None
    assert longer.gain.mean == 40.0


def test_a_step_is_by_tricks_alone(tmp_path: Path) -> None:
    """Not by another setting as well; a parameter of the trick that is added belongs to it."""
    fast = config(optim__lr=0.5)
    for seed in (0, 1):
        make_run(tmp_path, (), seed, 50.0 + seed, config=config())
        make_run(tmp_path, ("sk",), seed, 53.0 + 2 * seed, config=config(tricks={"sk": {"reduction": 4}}))
        make_run(tmp_path, ("sk", "ema"), seed, 60.0 + seed, config=fast)
    (table,) = made(tmp_path)
    assert [row.tricks for row in table.rows] == [[], ["sk"], ["sk", "ema"]]
    assert [row.step and row.step.mean for row in table.rows] == [None, 3.5, None]


def test_a_gain_by_some_seeds_says_which(tmp_path: Path) -> None:
    for seed in range(4):
        make_run(tmp_path, (), seed, 50.0)
    for seed in (1, 2):
        make_run(tmp_path, ("sk",), seed, 50.0 + seed)
        make_run(tmp_path, ("sk", "se"), seed, 53.0 + seed)
    (table,) = made(tmp_path)
    plain, sk, both = table.rows
    assert [row.gain and row.gain.over for row in (plain, sk, both)] == [None, "seeds 1, 2", "seeds 1, 2"]
    assert [row.step and row.step.over for row in (sk, both)] == ["seeds 1, 2", ""]
    assert TOP1.gain(both.gain) == "≈ +4.50 [~1.85, +10.85] (seeds 1, 2)".replace("~", "\N{MINUS SIGN}")


def test_folds_are_pooled_and_compared_fold_by_fold(tmp_path: Path) -> None:
    """Seed and fold pair two rows. Other folds (dealt otherwise, or more of them) have no partner."""

    def folds(tricks: list[str], top1s: list[float], count: int = 3, seed: int = 0) -> None:
        for fold, top1 in enumerate(top1s):
            own = config(data__folds=count, data__fold=fold)
            make_run(tmp_path, tricks, seed, top1, config=own, fold={"fold": fold, "folds": count, "fold_seed": 0})

    folds([], [50.0, 60.0, 70.0])
    folds(["se"], [51.0, 62.0, 73.0])
    folds(["se"], [99.0], seed=1)
    folds(["sk"], [55.0, 65.0, 75.0], count=4)
    (table,) = made(tmp_path)
    plain, se, sk = sorted(table.rows, key=lambda row: row.tricks)
    assert [row.n for row in (plain, se, sk)] == [3, 4, 3]
    assert list(plain.values("top1")) == [(0, fold, 3, 0) for fold in range(3)]
    assert table.baseline is plain
    assert se.gain is not None
    assert (se.gain.n, se.gain.mean) == (3, 2.0)
    assert sk.gain is None
    assert "over folds of one data set" in plain.notes[0]
    assert "not independent" in plain.notes[0]


def test_other_data_is_another_table(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0)
    make_run(tmp_path, (), 0, 60.0, config=config(data__name="imagefolder", data__root="/somewhere/flowers"))
    make_run(tmp_path, (), 0, 70.0, config=config(data__name="imagefolder", data__root="/somewhere/cars"))
    found = made(tmp_path)
    assert [table.title for table in found] == ["digits", "imagefolder cars", "imagefolder flowers"]
    assert all(len(table.rows) == 1 and table.rows[0].gain is None for table in found)


def test_labels_name_what_differs(tmp_path: Path) -> None:
    wider = config()
    wider["tricks"] = {"sk": {"reduction": 4}}
    narrower = config()
    narrower["tricks"] = {"sk": {"reduction": 16}}
    make_run(tmp_path, ("sk",), 0, config=narrower)
    make_run(tmp_path, ("sk",), 1, config=narrower)
    make_run(tmp_path, ("sk", "ema"), 0, config=narrower)
    make_run(tmp_path, ("sk",), 0, config=wider)
    make_run(tmp_path, ("sk",), 0, config={**deepcopy(narrower), "optim": {**narrower["optim"], "lr": 0.5}})
    make_run(tmp_path, ("sk",), 0, config={**deepcopy(narrower), "model": {**narrower["model"], "name": "resnet20"}})
    assert labels(tmp_path) == ["sk", "sk, reduction=4", "sk + ema", "sk, model=resnet20", "sk, lr=0.5"]


def test_what_no_key_tells_apart_has_its_hash(tmp_path: Path) -> None:
    """Weights to start from count by their content, which config.yaml does not show."""
    first, second = tmp_path / "first.pt", tmp_path / "first.pt.old"
    first.write_text("a")
    make_run(tmp_path / "runs", (), 0, config=config(model__checkpoint=str(first)))
    first.rename(second)
    first.write_text("b")
    make_run(tmp_path / "runs", (), 0, config=config(model__checkpoint=str(first)))
    found = labels(tmp_path / "runs")
    assert len(set(found)) == 2
    assert all(label.startswith("no tricks (") for label in found)


def test_rows_that_ran_otherwise_say_how(tmp_path: Path) -> None:
    for precision in ("32-true", "bf16-mixed"):
        make_run(tmp_path, ("sk",), 0, config=config(trainer__precision=precision, data__root=f"/{precision}"))
    make_run(tmp_path, ("se",), 0, config=config(trainer__precision="bf16-mixed"))
    found = [row.label for table in made(tmp_path) for row in table.rows]
    assert sorted(found) == ["se", "sk", "sk"]  # of two places of the data
    for path in tmp_path.glob("*/result.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "data_digest": "same"}))
    assert labels(tmp_path) == ["se", "sk, precision=32-true", "sk, precision=bf16-mixed"]


def published(**changes: Any) -> dict[str, Any]:
    whole = deepcopy(recipe_config("assemble_e02"))
    assert whole is not None
    for key, value in changes.items():
        group, _, name = key.partition("__")
        whole[group][name] = value
    return whole


def recipe_run(
    folder: Path, whole: dict[str, Any], tricks: list[str] | None = None, recipe: str = "assemble_e02"
) -> None:
    make_run(folder, list(whole["tricks"]) if tricks is None else tricks, 0, 78.0, config=whole, recipe=recipe)


def by_label(folder: Path) -> dict[str, Row]:
    (table,) = made(folder)
    return {row.label: row for row in table.rows}


def test_published_numbers_stand_beside_the_recipe_unchanged(tmp_path: Path) -> None:
    """Where it ran, on how many devices, matters to neither; anything else does."""
    of_recipe = list(published()["tricks"])
    recipe_run(tmp_path, published(data__root="/data", trainer__devices=8, trainer__precision="16-mixed"))
    shorter = published(data__root="/data", trainer__max_epochs=10)
    recipe_run(tmp_path, shorter)
    recipe_run(tmp_path, published(data__root="/data"), [*of_recipe, "sk"])
    recipe_run(tmp_path, published(data__root="/data"), of_recipe[:-1])
    rows = by_label(tmp_path)
    assert list(rows) == [
        f"assemble_e02 - {of_recipe[-1]}",
        "assemble_e02",
        "assemble_e02 + sk",
        "assemble_e02, max_epochs=10",
    ]
    assert rows["assemble_e02"].reported == {"top1": 78.35, "mce": 74.27, "throughput": 493}
    assert "Table 4" in rows["assemble_e02"].notes[0]
    assert [dict(row.reported) for label, row in rows.items() if label != "assemble_e02"] == [{}, {}, {}]
    assert not any(row.notes for label, row in rows.items() if label != "assemble_e02")


def test_what_all_rows_change_is_said_once(tmp_path: Path) -> None:
    for recipe in ("assemble_e00", "assemble_e02"):
        whole = deepcopy(recipe_config(recipe))
        assert whole is not None
        whole["trainer"]["max_epochs"] = 10
        recipe_run(tmp_path, whole, recipe=recipe)
    (table,) = made(tmp_path)
    assert [row.label for row in table.rows] == ["assemble_e00", "assemble_e02"]
    assert table.common == {"trainer.max_epochs": 10}
    assert table.reported == []


def test_a_row_inherits_no_published_numbers() -> None:
    """M2 is E1 with another trick, and its paper has no mCE of it."""
    whole = recipe_config("assemble_m2")
    assert whole is not None
    assert whole["reported"] == {"top1": 78.83, "throughput": 359}


def test_a_recipe_that_is_gone_is_still_a_name(tmp_path: Path) -> None:
    make_run(tmp_path, ("sk",), 0, recipe="mine")
    make_run(tmp_path, ("sk", "ema"), 0, recipe="mine")
    assert labels(tmp_path) == ["mine + sk", "mine + sk + ema"]


def test_the_plan_orders_and_names(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, tricks, seed) for tricks in ((), ("sk",), ("ema",)) for seed in (0, 1)]
    names = {run.name: label for run, label in zip(runs, ["none", "none", "+ sk", "+ sk", "x", "x"], strict=True)}
    plan = SweepFolder(tmp_path, "one_at_a_time", runs[2:] + runs[:2], names)
    assert labels(tmp_path, plans=[plan]) == ["+ sk", "x", "none"]
    same = SweepFolder(tmp_path, "one_at_a_time", runs, dict.fromkeys(names, "row"))
    assert labels(tmp_path, plans=[same]) == ["no tricks", "sk", "ema"]  # a label of all tells nothing


def test_a_label_tells_the_step_that_it_names(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, tricks) for tricks in ((), ("sk",), ("sk", "ema"), ("ema",))]
    labels = ["base", "+ sk", "+ ema", "- sk"]
    plan = SweepFolder(tmp_path, "cumulative", runs, dict(zip([run.name for run in runs], labels, strict=True)))
    (table,) = made(tmp_path, plans=[plan])
    assert [row.label for row in table.rows] == labels
    assert [table.is_step(row) for row in table.rows] == [False, True, True, True]
    assert [row.names_tricks for row in table.rows] == [True, True, False, False]
    table.rows.reverse()
    assert [table.is_step(row) for row in table.rows] == [True, False, False, False]


def test_the_baseline(tmp_path: Path) -> None:
    for tricks in ((), ("sk",)):
        make_run(tmp_path, tricks, 0, 50.0 + len(tricks))
    make_run(tmp_path, ("sk",), 0, 60.0, config=config(optim__lr=0.5))
    (table,) = made(tmp_path, baseline="sk")
    plain, sk, _ = table.rows
    assert sk.gain is None
    assert plain.gain is not None
    assert plain.gain.mean == -1.0
    for name in (sk.config_hash, sk.runs[0].run_id):
        assert made(tmp_path, baseline=name)[0].baseline.label == "sk"
    with pytest.raises(UserError, match=r"unknown baseline 'skk'. Did you mean 'sk'"):
        made(tmp_path, baseline="skk")


def test_less_is_better_for_some(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0, metrics={"loss": 2.0})
    make_run(tmp_path, ("sk",), 0, 50.0, metrics={"loss": 1.5})
    (table,) = made(tmp_path, metric=METRICS["loss"])
    assert table.rows[1].gain is not None
    assert table.rows[1].gain.mean == 0.5
    assert table.metrics[0] == "loss"
    with pytest.raises(UserError, match=r"unknown metric 'mce'.*Available: ece, loss, top1, top5"):
        made(tmp_path, metric=METRICS["mce"])


def test_a_diverged_run_is_counted_and_told(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0)
    make_run(tmp_path, (), 1, None)
    (table,) = made(tmp_path)
    (row,) = table.rows
    assert row.n == 2
    assert row.values("top1") == {(0,): 50.0}
    assert row.notes == ["1 of 2 runs ended without a finite top-1, and are not in the mean"]


def test_pooling_over_commits_is_told(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, git_commit="a")
    make_run(tmp_path, (), 1, git_commit="b")
    assert made(tmp_path)[0].notes == ["runs of different commits of this project are pooled"]


def test_a_run_of_code_in_no_commit_is_told(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, git_commit="a-dirty", git_diff="code-01234567.diff")
    assert made(tmp_path)[0].notes == ["trained by code that is in no commit: code-01234567.diff beside the run"]


def test_a_run_that_went_on_by_other_code_is_told(tmp_path: Path) -> None:
    stretches = [{"step": 0, "git_commit": "a", "git_diff": None}, {"step": 9, "git_commit": "b", "git_diff": None}]
    make_run(tmp_path, (), 0, git_commit="b", stretches=stretches)
    assert made(tmp_path)[0].notes == ["runs of different commits of this project are pooled"]


def test_a_run_without_its_configuration_is_still_there(tmp_path: Path) -> None:
    directory = make_run(tmp_path, ("sk",), 0, 61.0)
    (directory / "config.yaml").write_text("model: [")
    (table,) = made(tmp_path)
    assert (table.title, table.rows[0].label, table.rows[0].mean("top1")) == ("digits", "sk", 61.0)
    assert json.loads((directory / "result.json").read_text())["metrics"]["top1"] == 61.0
