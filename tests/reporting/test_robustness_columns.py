"""Robustness that was scored on different images is neither averaged nor compared."""

from pathlib import Path
from typing import Any

from assemble.reporting.columns import columns
from assemble.reporting.metrics import metric
from assemble.reporting.page import parts_of
from assemble.reporting.read import find, read
from assemble.reporting.table import Table, tables
from tests.helpers.synthetic_runs import make_run

ON_THE_FLY = {"corruptions": "on_the_fly", "extra": False, "preset": None, "jpeg": False, "frost_textures": None}
FOUND = {"preset": "cifar", "jpeg": False, "frost_textures": "drawn"}


def scored(folder: Path, seed: int, value: float, *tricks: str, **settings: Any) -> None:
    asked = {**ON_THE_FLY, **settings}
    found = {**FOUND, **{key: value for key, value in settings.items() if key in FOUND}}
    metrics = {"corruption_error": value}
    make_run(folder, tricks, seed, 50.0, metrics=metrics, robustness={"settings": asked, **found})


def table_of(folder: Path, name: str = "top1") -> Table:
    (table,) = tables(read(find([folder])).runs, [], metric(name))
    return table


def test_seeds_under_other_settings_are_not_averaged(tmp_path: Path) -> None:
    scored(tmp_path, 0, 30.0)
    scored(tmp_path, 1, 32.0, extra=True, preset="cifar")  # the same images, asked for in another way
    scored(tmp_path, 2, 60.0, jpeg=True)
    make_run(tmp_path, (), 3, 50.0)
    table = table_of(tmp_path)
    (row,) = table.rows
    plain, jpeg = "corruption_error (jpeg=false)", "corruption_error (jpeg=true)"
    assert (row.n, row.values("corruption_error")) == (4, {})
    assert (row.values(plain), row.values(jpeg)) == ({(0,): 30.0, (1,): 32.0}, {(2,): 60.0})
    assert table.metrics[-2:] == [plain, jpeg]
    assert metric(jpeg).title == "corruption error % (jpeg=true)"
    assert metric(jpeg).sign == -1
    assert row.mean("top1") == 50.0


def test_rows_of_other_sets_are_not_compared(tmp_path: Path) -> None:
    scored(tmp_path, 0, 30.0)
    make_run(
        tmp_path,
        ("sk",),
        0,
        metrics={"corruption_error": 20.0},
        robustness={"settings": {"corruptions": "cifar_c", "root": "/c"}, "images": "as published"},
    )
    plain, sk = table_of(tmp_path, "corruption_error (corruptions=cifar_c)").rows
    assert plain.gain is None
    assert sk.gain is None
    assert sk.mean("corruption_error (corruptions=cifar_c)") == 20.0


def test_one_set_needs_no_mark(tmp_path: Path) -> None:
    scored(tmp_path, 0, 30.0)
    scored(tmp_path, 0, 25.0, "sk")
    plain, sk = table_of(tmp_path, "corruption_error").rows
    assert sk.gain is not None
    assert sk.gain.mean == 5.0
    assert plain.mean("corruption_error") == 30.0


def test_corruption_errors_stand_beside_top1_with_their_n_and_interval(tmp_path: Path) -> None:
    """In percent, less is better: what falls is a gain, paired by the seeds that were scored."""
    for seed in (0, 1, 2):
        scored(tmp_path, seed, 30.0 + seed)
    for seed in (0, 1):
        scored(tmp_path, seed, 28.0 + 1.5 * seed, "sk")
    make_run(tmp_path, ("sk",), 2, 50.0)
    found = table_of(tmp_path, "corruption_error")
    shown = {column.title: [column.cell(row) for row in found.rows] for column in columns(found)}
    assert shown["n"] == ["3", "3"]
    assert shown["corruption error %"] == ["31.00 ± 1.00", "28.75 ± 1.06 (n = 2)"]
    assert shown["top-1 %"] == ["50.00 ± 0.00", "50.00 ± 0.00"]
    assert shown["gain"] == ["baseline", "≈ +1.75 [~1.43, +4.93] (seeds 0, 1)".replace("~", "\N{MINUS SIGN}")]
    parts = parts_of(shown["corruption error %"][1])
    assert [part.text for part in parts] == ["28.75", "± 1.06", "(n = 2)"]
    (beside,) = [c for c in columns(table_of(tmp_path)) if c.title == "corruption error %"]
    assert beside.help == "less is better"
    assert [beside.cell(row) for row in found.rows] == shown["corruption error %"]


def test_mce_stands_by_itself(tmp_path: Path) -> None:
    """Normalised by AlexNet it is another number than the mean error, and may be above 100."""
    asked = {"settings": ON_THE_FLY, **FOUND}
    make_run(tmp_path, (), 0, 50.0, metrics={"mce": 104.25, "corruption_error": 80.0}, robustness=asked)
    found = table_of(tmp_path)
    shown = {column.title: column.cell(found.rows[0]) for column in columns(found)}
    assert (shown["mCE %"], shown["corruption error %"]) == ("104.25", "80.00")
