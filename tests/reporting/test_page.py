"""The HTML page: complete, alone, well formed; in a browser where there is one."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from assemble.reporting.page import page, verdict
from assemble.reporting.plots import curves, forest, lines, plots, scatter
from assemble.reporting.png import save_plots
from assemble.reporting.report import Report, make_report
from assemble.reporting.svg import Scale
from tests.helpers.synthetic_runs import make_run

VOID = {"meta", "input"}


class Checker(HTMLParser):
    """Every element is closed in order; notes what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return checker


def runs(folder: Path) -> Report:
    for seed, top1 in enumerate([50.0, 51.5, 52.0]):
        for tricks, more in (((), 0.0), (("resnet_d",), 5.0 + 0.1 * seed), (("resnet_d", "sk"), 4.0 - 3 * seed)):
            curve = [top1 + more - 10, top1 + more - 5, top1 + more]
            make_run(folder, tricks, seed, top1 + more, curve=curve, recipe="<b>&mine")
    make_run(folder, ("ema",), 0, 40.0, recipe="<b>&mine")
    make_run(folder, ("ema",), 1, finished=False)
    return make_report([folder])


def test_the_page_is_whole_and_alone(tmp_path: Path) -> None:
    text = page(runs(tmp_path))
    found = check(text)
    assert found.links == []
    assert found.seen.count("svg") == 3
    assert "default-src 'none'" in text  # a browser would refuse to fetch anything
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"] * 3  # names, not addresses
    assert "<b>" not in text
    assert "10 finished runs, 4 configurations · 1 run unfinished" in text
    assert "not told apart" in text
    assert text.count("<tr data-row") == 4


def test_what_is_said_of_the_best_row(tmp_path: Path) -> None:
    report = runs(tmp_path)
    label, said = verdict(report.tables[0])  # type: ignore[misc]
    assert label.endswith("resnet_d")
    assert said.startswith("top-1 % 56.27 ± ")
    assert said.endswith("+5.10 over the baseline (<b>&mine)")
    report = make_report([tmp_path], "loss")
    make_run(tmp_path, ("sam",), 0, 99.0, recipe="<b>&mine")
    assert verdict(make_report([tmp_path]).tables[0])[0] == label  # type: ignore[index] - one seed is no best
    assert verdict(report.tables[0]) == ("<b>&mine", "the baseline itself, loss 1.000 ± 0.000 (n = 3)")


def test_cost_is_throughput_where_it_was_measured(tmp_path: Path) -> None:
    make_run(tmp_path / "a", (), 0, 50.0)
    make_run(tmp_path / "a", ("sk",), 0, 55.0)
    (table,) = make_report([tmp_path / "a"]).tables
    plot = scatter(table)
    assert plot is not None
    assert [(point.number, point.x, point.y, point.sd) for point in plot.points] == [
        (1, 6775104.0, 50.0, None),
        (2, 13550208.0, 55.0, None),
    ]
    make_run(tmp_path / "b", (), 0, 50.0, throughput=900.5)
    (table,) = make_report([tmp_path / "b"]).tables
    plot = scatter(table)
    assert plot is not None
    assert (plot.x_label, plot.points[0].x) == ("images/s", 900.5)


def test_curves_are_means_with_a_band(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0, curve=[10.0, 20.0, 30.0])
    make_run(tmp_path, (), 1, 50.0, curve=[20.0, 20.0])
    (table,) = make_report([tmp_path]).tables
    plot = curves(table)
    assert plot is not None
    (curve,) = plot.curves
    assert curve.x.tolist() == [1.0, 2.0]  # what both have
    assert curve.y.tolist() == [15.0, 20.0]
    assert curve.sd.tolist() == pytest.approx([50**0.5, 0.0])


def test_many_rows_leave_the_curves_readable(tmp_path: Path) -> None:
    for number, trick in enumerate(("sk", "se", "ema", "swa", "sam", "agc", "bce", "mixup", "cutmix", "augmix")):
        make_run(tmp_path, (trick,), 0, 50.0 + number, curve=[50.0 + number] * 900)
    (table,) = make_report([tmp_path], baseline="sk").tables
    plot = curves(table)
    assert plot is not None
    assert len(plot.curves) == 8
    assert {"sk", "augmix"} <= {curve.name for curve in plot.curves}
    assert "The baseline and the best of 10 rows" in plot.caption
    assert len(plot.curves[0].x) <= 201
    assert plot.curves[0].x[-1] == 900


def test_without_pairs_the_rows_gains_are_drawn(tmp_path: Path) -> None:
    make_run(tmp_path, ("sk",), 0, 50.0)
    make_run(tmp_path, ("ema",), 0, 51.0)
    (table,) = make_report([tmp_path], baseline="sk").tables
    plot = forest(table, [])
    assert plot is not None
    assert plot.title == "Gain over the baseline"
    assert [(bar.name, bar.gain.mean) for bar in plot.bars] == [("ema", 1.0)]


def test_a_single_run_has_a_page(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0)
    text = page(make_report([tmp_path]))
    assert "none is called best" in text
    assert "Best mean" not in text
    assert check(text).seen.count("svg") == 1


def test_rows_that_a_sweep_joins_are_lines_over_cost(tmp_path: Path) -> None:
    names = {(): "baseline", ("sk",): "deep, phi=1", ("se", "sk"): "deep, phi=2", ("se",): "wide, phi=1"}
    jobs = []
    for tricks, row in names.items():
        for seed, top1 in enumerate((50.0, 52.0, 54.0)):
            run = make_run(tmp_path, tricks, seed, top1 + len(tricks))
            jobs.append({"run_id": run.name, "output_dir": str(tmp_path), "row": row})
    joined = {"deep": ["baseline", "deep, phi=1", "deep, phi=2"], "wide": ["baseline", "wide, phi=1"], "gone": ["x"]}
    folder = tmp_path / "sweeps" / "0"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"mode": "compound", "jobs": jobs, "lines": joined}))
    report = make_report([folder])
    plot = lines(report.tables[0])
    assert plot is not None
    assert [(curve.name, curve.x.tolist(), curve.y.tolist()) for curve in plot.curves] == [
        ("deep", [6775104, 13550208, 20325312], [52, 53, 54]),
        ("wide", [6775104, 13550208], [52, 53]),
    ]
    # Student's t for 2 degrees of freedom is 4.303 (tables); the standard error of 50, 52, 54 is 2 / sqrt(3).
    assert plot.curves[0].sd.tolist() == pytest.approx([4.303 * 2 / 3**0.5] * 3, abs=1e-3)
    assert "95 % interval" in plot.caption
    assert check(page(report)).seen.count("svg") == 3
    (file,) = save_plots([(plot.name, plot)], tmp_path)
    assert file.name == "scaling.png"
    assert lines(make_report([tmp_path / jobs[0]["run_id"]]).tables[0]) is None


def test_ticks_are_round() -> None:
    assert Scale(0.3, 9.8, 0, 1).ticks == pytest.approx([2, 4, 6, 8])
    assert Scale(1.0, 3.0, 0, 1, whole=True).ticks == [1, 2, 3]
    assert Scale(80.0, 1200.0, 0, 1, log=True).ticks == [100, 200, 500, 1000]
    assert Scale(0, 10, 100, 200)(5) == 150
    assert Scale(1, 100, 0, 100, log=True)(10) == pytest.approx(50)


def test_images(tmp_path: Path) -> None:
    report = runs(tmp_path / "runs")
    drawn = [(plot.name, plot) for plot in plots(report.tables[0], report.gains[report.tables[0].title])]
    files = save_plots(drawn, tmp_path / "png")
    assert [file.name for file in files] == ["score.png", "gains.png", "curves.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_hundreds_of_runs_are_all_there(tmp_path: Path) -> None:
    """How fast: benchmarks/report.py."""
    from itertools import combinations

    from tricks import trick_names

    subsets = [subset for size in range(3) for subset in combinations(trick_names(), size)][:40]
    for number, tricks in enumerate(subsets):
        for seed in range(5):
            make_run(tmp_path, tricks, seed, 50 + number / 100 + seed / 10)
    report = make_report([tmp_path])
    assert len(report.runs) == 200
    text = page(report)
    assert check(text).seen.count("tr") == 41
    assert {row.n for row in report.tables[0].rows} == {5}


def test_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """From file://, offline: no error, no request; sorted by a click, filtered by a word, tips at the points."""
    file = tmp_path / "report.html"
    file.write_text(page(runs(tmp_path / "runs")))
    context = browser.new_context(offline=True)
    tab = context.new_page()
    complaints, asked = [], []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(file.as_uri())

    def column(number: int) -> list[str]:
        return tab.locator(f"tbody tr:visible td:nth-child({number})").all_inner_texts()

    headers = tab.locator("thead th")
    score = [text.strip() for text in headers.all_inner_texts()].index("top-1 %") + 1
    header = headers.nth(score - 1)
    assert column(1) == ["1", "2", "3", "4"]
    assert header.get_attribute("aria-sort") == "none"
    for state, order in (
        ("descending", ["56.27", "52.17", "51.17", "40.00"]),
        ("ascending", ["40.00", "51.17", "52.17", "56.27"]),
    ):
        header.get_by_role("button").click()
        assert header.get_attribute("aria-sort") == state
        assert [text[:5] for text in column(score)] == order
    headers.nth(1).get_by_role("button").press("Enter")  # by the keyboard, another column
    assert header.get_attribute("aria-sort") == "none"
    assert headers.nth(1).get_attribute("aria-sort") == "ascending"
    gain = [text.strip() for text in headers.all_inner_texts()].index("gain")
    headers.nth(gain).get_by_role("button").click()
    assert column(1)[-1] == "1"  # the baseline has no gain: last, whichever way
    headers.nth(gain).get_by_role("button").click()
    assert column(1)[-1] == "1"
    headers.nth(gain).get_by_role("button").click()
    assert column(1) == ["1", "2", "3", "4"]

    tab.get_by_label("Filter rows").fill("EMA")
    assert len(column(1)) == 1
    tab.get_by_label("Filter rows").fill("")
    point = tab.locator("svg g.point circle").nth(1)
    point.hover()
    assert "ema" in tab.locator("#tip").inner_text()
    assert tab.locator("tr.lit").get_attribute("data-row") == "2"
    tab.mouse.move(0, 0)
    assert tab.locator("#tip").is_hidden()
    assert complaints == []
    assert asked == [file.as_uri()]
