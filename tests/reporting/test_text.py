"""The table as Markdown, CSV and LaTeX, in files and in the terminal."""

import csv
import io
from copy import deepcopy
from pathlib import Path

import pytest
from rich.console import Console

from assemble.errors import UserError
from assemble.reporting.columns import columns
from assemble.reporting.differences import recipe_config
from assemble.reporting.metrics import METRICS, duration, metric
from assemble.reporting.report import Report, make_report
from assemble.reporting.statistics import Gain, Spread
from assemble.reporting.terminal import rich_table, width
from assemble.reporting.text import BEGIN, END, csv_text, insert, latex, markdown
from assemble.wording import amount
from tests.helpers.synthetic_runs import make_run

TOP1 = METRICS["top1"]
MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def report(tmp_path: Path) -> Report:
    for seed, top1 in enumerate([50.0, 51.0]):
        make_run(tmp_path, (), seed, top1)
        make_run(tmp_path, ("resnet_d",), seed, top1 + 1 + 0.01 * seed)
        make_run(tmp_path, ("resnet_d", "sk"), seed, 50.9 + 0.1 * seed)
    return make_report([tmp_path])


@pytest.fixture
def published(tmp_path: Path) -> Report:
    """E0 and E2, as published and measured."""
    for name in ("assemble_e00", "assemble_e02"):
        whole = deepcopy(recipe_config(name))
        assert whole is not None
        make_run(tmp_path / "published", list(whole["tricks"]), 0, 77.0, config=whole, recipe=name, throughput=1000.0)
    return make_report([tmp_path / "published"])


def test_numbers() -> None:
    assert TOP1.spread(Spread(3, 99.4444, 0.385)) == "99.44 ± 0.39"
    assert TOP1.spread(Spread(1, 99.4444, None)) == "99.44"
    assert TOP1.difference(-0.001) == "+0.00"
    assert TOP1.gain(Gain(3, -1.5, (-2.0, -1.0))) == "~1.50 [~2.00, ~1.00]".replace("~", MINUS)
    assert TOP1.gain(Gain(3, 0.5, (-2.0, 3.0))) == "≈ +0.50 [~2.00, +3.00]".replace("~", MINUS)
    assert TOP1.gain(Gain(1, 0.5)) == "+0.50"
    assert TOP1.gain(None) == ""
    assert [amount(v) for v in (44370, 25_557_032, 4.09e9, 143e9)] == ["44,370", "25.6 M", "4.09 G", "143 G"]
    assert [amount(v, more=True) for v in (0, 1.85e9, -240e6)] == ["+0", "+1.85 G", "-240 M"]
    assert [duration(v) for v in (5.52, 200, 7500, 356400)] == ["5.5 s", "3 min 20 s", "2 h 05 min", "4 d 03 h"]
    assert metric("speed").key == "speed"


def test_markdown(report: Report) -> None:
    lines = markdown(report.tables).splitlines()
    assert lines[0] == "**digits**"
    assert lines[2].startswith("| configuration | n | top-1 % | gain | p | over row above | top-5 % |")
    assert lines[3].startswith("| --- | ---: | ---: |")
    assert lines[4].startswith("| no tricks | 2 | 50.50 ± 0.71 | baseline |  |  | 90.00 ± 0.00 |")
    assert lines[5].startswith(r"| resnet\_d | 2 | 51.50 ± 0.71 | +1.00 \[+0.94, +1.07\] |")
    assert lines[6].startswith(r"| resnet\_d + sk | 2 | 50.95 ± 0.07 | ≈ +0.45 \[")
    assert all(line.count("|") == lines[2].count("|") for line in lines[3:7])


def test_no_column_says_what_another_says(tmp_path: Path) -> None:
    """Of one trick at a time the first row is over the baseline, which is the row above it: that is its gain."""
    for tricks in ((), ("ema",), ("sk",)):
        make_run(tmp_path, tricks, 0, 50.0 + len(tricks))
    (table,) = make_report([tmp_path]).tables
    assert table.rows[1].step == table.rows[1].gain
    titles = [column.title for column in columns(table)]
    assert titles[:4] == ["configuration", "n", "top-1 %", "gain"]
    assert "over row above" not in titles


def test_between_markers(tmp_path: Path) -> None:
    file = tmp_path / "new" / "table.md"
    insert(file, "one\n")
    assert file.read_text() == f"{BEGIN}\none\n{END}\n"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    insert(file, "two\n")
    insert(file, "two\n")
    assert file.read_text() == f"before\n{BEGIN}\ntwo\n{END}\nafter\n"
    file.write_text("before\n")
    insert(file, "three\n")
    assert file.read_text() == f"before\n\n{BEGIN}\nthree\n{END}\n"


@pytest.mark.parametrize("text", [BEGIN, END, f"{END}\n{BEGIN}\n"])
def test_markers_that_do_not_match_are_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "table.md"
    file.write_text(text)
    with pytest.raises(UserError, match="put both, in this order"):
        insert(file, "lost\n")
    assert file.read_text() == text


def test_csv_has_everything_in_full_precision(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(report.tables))))
    assert [row["configuration"] for row in rows] == ["no tricks", "resnet_d", "resnet_d + sk"]
    plain, resnet_d, _ = rows
    assert (plain["n"], plain["seeds"], plain["gain"], plain["gain_n"]) == ("2", "0 1", "", "0")
    assert float(plain["top1_sd"]) == 0.5**0.5
    assert float(resnet_d["gain"]) == pytest.approx(1.005)
    assert resnet_d["gain_told_apart"] == "True"
    assert float(resnet_d["gain_t_low"]) == pytest.approx(1.005 - 12.7062047 * 0.005)
    assert float(resnet_d["gain_bca_low"]) >= 1.0 - 1e-9
    assert (resnet_d["macs"], resnet_d["baseline"], resnet_d["gain_of"]) == ("13550208", "no tricks", "top1")


def test_latex(report: Report, published: Report) -> None:
    text = latex(report.tables)
    assert r"resnet\_d & 2 & 51.50 $\pm$ 0.71 & +1.00 [+0.94, +1.07] &" in text
    assert r"\toprule" in text
    assert r"top-1 \%" in text
    assert "±" not in text
    assert text.count(r"\begin{tabular}{lrrrrrrrrrrr}") == text.count(r"\end{tabular}") == 1
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {row.count("&") - row.count(r"\&") for row in rows} == {11}
    assert r"assemble\_e00$^{1}$ &" in latex(published.tables)


def test_published_numbers_and_their_footnotes(published: Report) -> None:
    text = markdown(published.tables)
    assert "| assemble\\_e00¹ | zero\\_gamma | 1 | 77.00 | baseline | 76.87 (+0.13) | 75.55 | 536 (+464) |" in text
    assert "| assemble\\_e02² | … + resnet\\_d + label\\_smoothing | 1 | 77.00 |" in text
    assert "¹ The paper does not say whether its mCE averages 15 or 19 corruptions" in text
    assert "² Published inconsistently: Table 7 has 78.35 here" in text
    rows = list(csv.DictReader(io.StringIO(csv_text(published.tables))))
    assert float(rows[0]["measured_less_published_top1"]) == pytest.approx(0.13)
    assert (rows[0]["published_mce"], rows[0]["measured_less_published_mce"]) == ("75.55", "")


def test_a_narrow_terminal_folds_no_number(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    (table,) = report.tables
    console = Console(width=60)
    whole = rich_table(table, columns(table))
    assert width(console, whole) > 100
    console.print(rich_table(table, columns(table)[:4]))
    text = capsys.readouterr().out
    assert "50.50 ± 0.71" in text
    assert "[+0.94, +1.07]" in text
