"""What W&B is given, read back from the files that it writes offline."""

import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from assemble.reporting.report import Report, make_report
from assemble.reporting.wandb_report import build_workspace, destination, log_report
from assemble.runs.directory import Run
from assemble.runs.loggers import build_loggers, close_loggers, log_later_result, log_result
from tests.helpers.synthetic_runs import default_config, make_run


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/nonexistent/netrc")
    monkeypatch.setenv("WANDB_SILENT", "true")


def report(folder: Path) -> Report:
    config = default_config()
    config["logger"] = {"wandb": {"project": "mine", "entity": "us"}}
    for seed, top1 in enumerate([50.0, 52.0]):
        make_run(folder, (), seed, top1, config=config)
        make_run(folder, ("sk",), seed, top1 + 1 + 0.1 * seed, config=config)
    return make_report([folder])


def offline_records(folder: Path) -> list[Any]:
    """The records of the one offline run below a folder, which W&B's own process may still be writing."""
    (file,) = folder.rglob("*.wandb")
    for _ in range(300):
        found = parse(file.read_bytes())
        if found and found[-1].WhichOneof("record_type") == "exit":
            break
        time.sleep(0.1)
    return found


def parse(data: bytes) -> list[Any]:
    """Protocol buffers in a log of LevelDB's format, that is, blocks of 32 KiB after a header of 7 bytes, each record
    in one or more chunks with a check sum, a length and a kind (1 whole, 2 first, 3 middle, 4 last).
    """
    from wandb.proto import wandb_internal_pb2

    place, found, parts = 7, [], b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        if place + 7 + length > len(data):
            break
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def items(records: list[Any], kind: str, field: str) -> dict[str, Any]:
    """Key -> value of the history's, summary's or configuration's records."""
    parts = [item for r in records if r.WhichOneof("record_type") == kind for item in getattr(getattr(r, kind), field)]
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in parts}


def test_the_table_is_logged(tmp_path: Path) -> None:
    lines = log_report(report(tmp_path))
    assert lines[0].startswith("W&B: table, gains and page (offline: wandb sync ")
    assert lines[1].startswith("workspace: not made, since no W&B key is set")
    records = offline_records(tmp_path)
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.entity, run.job_type) == ("mine", "us", "report")
    logged = items(records, "history", "item")
    table = json.loads((next(tmp_path.rglob("files")) / logged["ablation.path"]).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["configuration"], row["n"], row["top1_mean"]) for row in rows] == [
        ("no tricks", 2, 51.0),
        ("sk", 2, 52.05),
    ]
    assert rows[1]["gain"] == pytest.approx(1.05)
    gains = json.loads((next(tmp_path.rglob("files")) / logged["gains.path"]).read_text())
    assert [row[:5] for row in gains["data"]] == [["digits", "sk", "added to no tricks", 2, pytest.approx(1.05)]]
    assert logged["page._type"] == "html-file"


def test_a_training_run_is_logged_with_its_result(tmp_path: Path) -> None:
    """Group, tags, job type, the whole configuration, and result.json as the summary."""
    config = default_config()
    config["logger"] = {"wandb": {"_target_": "lit_modules.trackers.Wandb", "project": "mine"}}
    run = Run(tmp_path, "tiny-sk-s0-12345678", "12345678", "assemble_e06", config)
    loggers = build_loggers(config["logger"], run, ["sk"], "assemble_e06")
    for name in ("result.json", "config.yaml"):
        (tmp_path / name).write_text("{}")
    log_result(loggers, run, {"metrics": {"top1": 50.0}, "macs": 7, "config_hash": "12345678"})
    close_loggers(loggers, 0)
    records = offline_records(tmp_path)
    (told,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (told.run_id, told.run_group, list(told.tags), told.job_type) == (
        run.run_id,
        "assemble_e06",
        ["sk"],
        "train",
    )
    given = {item.key: json.loads(item.value_json) for item in told.config.update}
    assert {key: given[key] for key in ("model", "optim", "trainer", "seed")} == {
        key: config[key] for key in ("model", "optim", "trainer", "seed")
    }
    assert given["config_hash"] == "12345678", "by which repetitions are grouped"
    assert given["recipe"] == "assemble_e06"
    (artifact,) = [record.artifact for record in records if record.WhichOneof("record_type") == "artifact"]
    assert (artifact.name, artifact.type) == (run.run_id, "result")
    assert {entry.path for entry in artifact.manifest.contents} == {"result.json", "config.yaml"}
    summary = items(records, "summary", "update")
    assert summary["result"] == {"metrics": {"top1": 50.0}, "macs": 7, "config_hash": "12345678"}


def test_seeds_without_a_recipe_share_a_group(tmp_path: Path) -> None:
    config = default_config()
    config["logger"] = {"wandb": {"_target_": "lit_modules.trackers.Wandb", "project": "mine"}}
    groups = []
    for seed in (0, 11):
        run = Run(tmp_path, f"tiny-sk-s{seed}-12345678", "12345678", None, {**config, "seed": seed})
        groups.append(build_loggers(config["logger"], run, ["sk"], None)[0]._wandb_init["group"])  # type: ignore[attr-defined]
    assert groups == ["tiny-sk-12345678"] * 2


def test_scores_that_come_later_reach_the_same_run(tmp_path: Path) -> None:
    config = default_config()
    config["logger"] = {"csv": {}, "wandb": {"_target_": "lit_modules.trackers.Wandb", "project": "mine"}}
    run = Run(tmp_path, "tiny-sk-s0-12345678", "12345678", None, config)
    log_later_result(config["logger"], run, {"metrics": {"corruption_error": 40.0}})
    records = offline_records(tmp_path)
    (told,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert told.run_id == run.run_id
    assert items(records, "summary", "update")["result"] == {"metrics": {"corruption_error": 40.0}}
    assert not (tmp_path / "metrics.csv").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the package's own
def test_the_workspace(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces")
    found = report(tmp_path)
    spec = json.loads(build_workspace(found, "mine", "us")._to_model().model_dump_json(by_alias=True))
    assert (spec["entity"], spec["project"], spec["displayName"]) == ("us", "mine", "Ablation")
    section = spec["spec"]["section"]
    kinds = [[panel["viewType"] for panel in s["panels"]] for s in section["panelBankConfig"]["sections"]]
    assert kinds == [["Bar Chart", "Scatter Plot", "Run Comparer"], ["Run History Line Plot"] * 3]
    text = json.dumps(section["runSets"])
    assert all(run.run_id in text for run in found.runs)
    assert '"jobType"' in text
    assert "result.config_hash" in text


def test_where_to(tmp_path: Path) -> None:
    assert destination(report(tmp_path / "a")) == ("mine", "us")
    make_run(tmp_path / "b", (), 0)
    assert destination(make_report([tmp_path / "b"])) == ("assemble", None)
