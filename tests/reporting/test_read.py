"""What is found below a folder, whatever state it is in."""

import json
from pathlib import Path

import pytest

from assemble.errors import UserError
from assemble.reporting.page import page
from assemble.reporting.read import find, read
from assemble.reporting.report import filters, make_report
from assemble.runs.result import read_result
from assemble.runs.sweep_folder import of_records, read_sweep, sweeps_below
from assemble.sweeps.summary import jobs_of
from tests.helpers.synthetic_runs import default_config, make_run


def test_a_damaged_result_is_named_and_nothing_else_is_lost(tmp_path: Path) -> None:
    good = make_run(tmp_path, (), 0, 50.0)
    half = make_run(tmp_path, (), 1, 60.0)
    text = (half / "result.json").read_text()
    (half / "result.json").write_text(text[: len(text) // 2])
    other = make_run(tmp_path, (), 2, 70.0)
    (other / "result.json").write_text("[]")
    lacking = make_run(tmp_path, (), 3, 70.0)
    (lacking / "result.json").write_text(json.dumps({**json.loads(text), "seed": "x"}))
    found = read(find([tmp_path]))
    assert [run.directory for run in found.runs] == [good]
    assert len(found.problems) == 3
    for directory, why in ((half, "damaged"), (other, "it holds no object"), (lacking, "seed is 'x'")):
        assert [line for line in found.problems if str(directory / "result.json") in line and why in line]
    assert (half / "result.json").read_text() == text[: len(text) // 2]  # nothing is mended behind the user's back


def test_runs_under_way_are_counted(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0)
    unfinished = make_run(tmp_path, (), 1, finished=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("")  # no run
    assert read(find([tmp_path])).unfinished == [unfinished]


def test_folders_of_folders_and_loggers_folders(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a", (), 0), make_run(tmp_path / "b" / "c", (), 1)
    inside = first / "wandb" / "offline" / "files"
    inside.mkdir(parents=True)
    (inside / "result.json").write_text("{}")
    assert find([tmp_path]) == [first, second]
    assert find([first]) == [first]
    assert find([tmp_path, tmp_path / "a"]) == [first, second]
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        find([tmp_path / "nowhere"])


def test_a_copy_of_a_run_does_not_count_twice(tmp_path: Path) -> None:
    first, copy = make_run(tmp_path / "a", (), 0), make_run(tmp_path / "b", (), 0)
    found = read(find([tmp_path]))
    assert [run.directory for run in found.runs] == [first]
    assert found.problems == [f"{copy} repeats the configuration and seed of {first}: passed over"]


def test_a_torn_metrics_file_gives_what_it_has(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, curve=[10.0, 20.0])
    (run,) = read(find([tmp_path])).runs
    with (run.directory / "metrics.csv").open("a") as file:
        file.write("2,30,3")
        file.write("\n3")
    assert run.curve("top1") == {1: 10.0, 2: 20.0, 3: 3.0}
    assert run.curve("mce") == {}


def plan(folder: Path, content: dict) -> Path:
    sweep = folder / "sweeps" / "2026-01-01"
    sweep.mkdir(parents=True)
    (sweep / "plan.json").write_text(json.dumps(content))
    return sweep


def test_a_planned_sweep(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, tricks, 0) for tricks in ((), ("sk",))]
    make_run(tmp_path, ("ema",), 0)
    jobs = [
        {"overrides": [], "run_id": run.name, "tricks": [], "seed": 0, "row": row}
        for run, row in zip(runs, ("nothing", "+ sk"), strict=True)
    ]
    waiting = {"overrides": [], "run_id": "tiny-se-s0-00000000", "tricks": ["se"], "seed": 0, "row": "+ se"}
    content = {"mode": "cumulative", "jobs": [*jobs, waiting], "orders": [["sk", "se"]]}
    sweep = plan(tmp_path, {**content, "skipped": [{"row": "+ x", "tricks": ["x"], "reason": "it cannot be"}]})
    found = read_sweep(sweep)
    assert found is not None
    assert (found.mode, found.orders, found.skipped) == ("cumulative", [["sk", "se"]], ["+ x: it cannot be"])
    assert [path.name for path in found.directories] == [job["run_id"] for job in content["jobs"]]
    assert (found.position(runs[1].name), found.position("other")) == (1, None)
    assert [row.label for row in make_report([sweep]).tables[0].rows] == ["nothing", "+ sk"]
    whole = make_report([tmp_path])  # its runs first, in its order; then the others
    assert [row.label for row in whole.tables[0].rows] == ["nothing", "+ sk", "ema"]
    assert [p.folder for p in sweeps_below(tmp_path)[0]] == [sweep]


def test_a_dry_run_names_and_orders_no_row_of_all_runs(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, tricks, 0) for tricks in ((), ("sk",))]
    jobs = [{"run_id": run.name, "row": row} for run, row in zip(reversed(runs), ("+ sk", "nothing"), strict=True)]
    sweep = plan(tmp_path, {"mode": "cumulative", "jobs": jobs, "dry_run": True})
    assert [row.label for row in make_report([tmp_path]).tables[0].rows] == ["no tricks", "sk"]
    assert [row.label for row in make_report([sweep]).tables[0].rows] == ["+ sk", "nothing"]  # which was asked for


@pytest.mark.parametrize(("mode", "labels"), [("nas", ["candidate 0", "candidate 1"]), ("grid", ["no tricks", "sk"])])
def test_a_search_names_its_candidates_and_a_grid_says_what_differs(
    tmp_path: Path, mode: str, labels: list[str]
) -> None:
    runs = [make_run(tmp_path, tricks, 0) for tricks in ((), ("sk",))]
    jobs = [{"run_id": run.name, "row": f"candidate {number}"} for number, run in enumerate(runs)]
    sweep = plan(tmp_path, {"mode": mode, "jobs": jobs})
    assert [row.label for row in make_report([sweep]).tables[0].rows] == labels


def test_a_sweep_that_nobody_planned(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "runs", tricks, 0) for tricks in ((), ("sk",))]
    sweep = tmp_path / "runs" / "sweeps" / "now"
    sweep.mkdir(parents=True)
    records = [
        {"job": 1, "run_directory": str(Path("elsewhere") / runs[0].name)},
        {"job": 0, "run_directory": str(runs[1])},
        {"job": 2, "run_directory": None},
    ]
    (sweep / "jobs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert of_records(sweep, records).directories == [runs[1], runs[0]]
    assert [row.label for row in make_report([sweep]).tables[0].rows] == ["sk", "no tricks"]


@pytest.mark.parametrize("name", ["plan.json", "jobs.jsonl"])
def test_a_damaged_sweep(tmp_path: Path, name: str) -> None:
    make_run(tmp_path, (), 0)
    sweep = plan(tmp_path, {})
    (sweep / "plan.json").unlink()
    (sweep / name).write_text('{"jobs": [')
    with pytest.raises(UserError, match=f"{name} is damaged .*name the folder of its runs instead"):
        make_report([sweep])
    assert len(make_report([tmp_path]).runs) == 1


def test_nothing_finished(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, finished=False)
    with pytest.raises(UserError, match=r"no finished run in .* \(1 unfinished\): python train.py makes one"):
        make_report([tmp_path])


def test_filters_pass_over_unfinished_runs_too(tmp_path: Path) -> None:
    make_run(tmp_path, ("sk",), 0)
    stopped = make_run(tmp_path, ("sk",), 1, finished=False)
    make_run(tmp_path, (), 1, finished=False)
    assert make_report([tmp_path], keep=filters([], ["sk"], ["digits"])).found.unfinished == [stopped]


def test_runs_of_other_tags_are_other_rows(tmp_path: Path) -> None:
    for tag, seeds in (("first", (0, 1)), ("again", (0, 1, 2))):
        for seed in seeds:
            make_run(tmp_path, ("sk",), seed, config={**default_config(), "tag": tag}, tag=tag)
    (table,) = make_report([tmp_path]).tables
    assert {(row.label, row.n) for row in table.rows} == {("sk, tag=first", 2), ("sk, tag=again", 3)}
    (only,) = make_report([tmp_path], keep=filters([], [], [], ["ag*"])).tables
    assert [(row.label, row.n) for row in only.rows] == [("sk", 3)]


def test_filters(tmp_path: Path) -> None:
    make_run(tmp_path, ("sk",), 0, recipe="assemble_e01")
    make_run(tmp_path, ("sk", "ema"), 0, recipe="assemble_e02")
    assert len(make_report([tmp_path], keep=filters(["assemble_*"], ["sk"], ["digits"])).runs) == 2
    assert len(make_report([tmp_path], keep=filters([], ["sk", "ema"], [])).runs) == 1
    with pytest.raises(
        UserError,
        match=r"no finished run of the 2 .*recipe: assemble_e01, assemble_e02; data: digits; tag: none; tricks: ema",
    ):
        make_report([tmp_path], keep=filters(["assemble_e05"], [], []))


DEEP = "[" * 100_000
RESULTS = {
    "brackets": DEEP,
    "metrics alone": '{"metrics": {}}',
    "no number": '"top1": "90"',
    "NaN": '"top1": NaN',
    "a huge number": f'"top1": {"9" * 400}',
    "a recipe that is a list": '"recipe": [1]',
    "parameters in words": '"params": "many"',
    "a commit of another kind": '"git_commit": {}',
    "robustness in words": '"robustness": "good"',
    "hardware in words": '"hardware": "fast"',
}
"""Contents of a result.json, or what replaces an entry there."""


@pytest.mark.parametrize("content", RESULTS.values(), ids=RESULTS)
def test_no_damaged_result_breaks_the_report(tmp_path: Path, content: str) -> None:
    make_run(tmp_path, ["se"], 0, 60.0)
    damaged = make_run(tmp_path, (), 0, 50.0) / "result.json"
    if content.startswith('"'):
        key, value = content.split(": ", 1)
        whole = json.loads(damaged.read_text())
        (whole["metrics"] if key == '"top1"' else whole)[key.strip('"')] = "HERE"
        content = json.dumps(whole).replace('"HERE"', value)
    damaged.write_text(content)
    report = make_report([tmp_path])
    page(report)
    assert [row.label for row in report.tables[0].rows] == ["se"]
    (problem,) = report.found.problems
    assert str(damaged) in problem
    assert len(problem) < 500
    assert read_result(damaged.parent) is None  # so train.py does not take it for a finished run either


CONFIGS = ("[" * 100_000, "[]", "model: tiny", "data: {name: 3}", "tricks: [se]", "tricks: {se: 4}", "seed: 2026-99-99")


@pytest.mark.parametrize("content", [*CONFIGS, "seed: 2026-09-09", "a: !!float ''", "a: .nan"], ids=range(10))
def test_no_damaged_configuration_breaks_the_report(tmp_path: Path, content: str) -> None:
    make_run(tmp_path, ["se"], 0, 60.0)
    path = make_run(tmp_path, (), 0, 50.0) / "config.yaml"
    path.write_text(content)
    report = make_report([tmp_path])
    page(report)
    assert report.found.problems == [f"{path} is damaged: of its run only result.json is known"]
    assert any(
        "config.yaml is missing or damaged" in note
        for table in report.tables
        for row in table.rows
        for note in row.notes
    )


PLANS = (
    DEEP,
    '{"jobs": 3}',
    '{"jobs": [3]}',
    '{"jobs": [{"run_id": 3}]}',
    '{"jobs": [{"run_id": "a", "overrides": 5}]}',
    '{"orders": [1]}',
    '{"skipped": [{}]}',
    '{"lines": {"a": 1}}',
    '{"mode": []}',
    '{"dry_run": 1}',
)


@pytest.mark.parametrize("content", PLANS, ids=range(len(PLANS)))
def test_a_damaged_plan_is_named_and_orders_nothing(tmp_path: Path, content: str) -> None:
    make_run(tmp_path, ["se"], 0, 60.0)
    path = plan(tmp_path, {}) / "plan.json"
    path.write_text(content)
    report = make_report([tmp_path])
    assert [row.label for row in report.tables[0].rows] == ["se"]
    (problem,) = report.found.problems
    assert str(path) in problem
    with pytest.raises(UserError, match=r"plan.json is damaged .*name the folder of its runs instead"):
        make_report([path.parent])


@pytest.mark.parametrize("line", [DEEP, "3", "{}", '{"job": "1"}', '{"job": 1, "run_directory": 3}'], ids=range(5))
def test_damaged_records_of_a_sweep(tmp_path: Path, line: str) -> None:
    (tmp_path / "jobs.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"jobs.jsonl is damaged"):
        make_report([tmp_path])
    with pytest.raises(UserError, match=r"jobs.jsonl is damaged"):
        jobs_of(tmp_path)
