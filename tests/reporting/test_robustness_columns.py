"""Robustness that was scored on different images is neither averaged nor compared."""

from pathlib import Path
from typing import Any

from assemble.reporting.metrics import metric
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
