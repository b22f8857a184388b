"""The HTML page: complete, alone, well formed; in a browser where there is one."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from assemble.reporting.drawing import Dot
from assemble.reporting.figure_files import save_plots
from assemble.reporting.figures import RADIUS, Scale, draw
from assemble.reporting.page import page, verdict
from assemble.reporting.palette import DARK, LIGHT, STYLES, css
from assemble.reporting.plots import Point, Scatter, curves, effects, forest, lines, plots, scatter
from assemble.reporting.report import Report, make_report
from assemble.reporting.svg import svg
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
    assert found.links == [f"#1-{row}" for row in range(1, 5)]  # to where the rows come from
    assert found.seen.count("svg") == 4
    assert "default-src 'none'" in text  # a browser would refuse to fetch anything
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"] * 4  # names, not addresses
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


def test_one_validation_is_no_curve(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0, curve=[50.0])
    (table,) = make_report([tmp_path]).tables
    assert curves(table) is None


def test_every_row_has_its_learning_curve_over_the_baselines(tmp_path: Path) -> None:
    for number, trick in enumerate(("sk", "se", "ema", "swa", "sam", "agc", "bce", "mixup", "cutmix", "augmix")):
        make_run(tmp_path, (trick,), 0, 50.0 + number, curve=[50.0 + number] * 900)
    (table,) = make_report([tmp_path], baseline="sk").tables
    plot = curves(table)
    assert plot is not None
    assert [curve.number for curve in plot.curves] == list(range(1, 11))
    assert plot.baseline is not None
    assert plot.baseline.name == "sk"
    assert f"Grey: {plot.baseline.number} sk, the baseline" in plot.caption
    assert len(plot.curves[0].x) <= 201
    assert plot.curves[0].x[-1] == 900
    panels = draw(plot).groups[1:]
    assert [group.row for group in panels] == list(range(1, 11))
    behind = [sum(shape.kind == "reference" for shape in group.shapes) for group in panels]
    assert behind == [int(number != plot.baseline.number) for number in range(1, 11)]
    corners = {shape.points[0] for group in panels for shape in group.shapes if shape.kind == "curve"}  # type: ignore[union-attr]
    assert len(corners) == 10


def test_without_pairs_the_rows_gains_are_drawn(tmp_path: Path) -> None:
    make_run(tmp_path, ("sk",), 0, 50.0)
    make_run(tmp_path, ("ema",), 0, 51.0)
    (table,) = make_report([tmp_path], baseline="sk").tables
    plot = forest(table)
    assert plot is not None
    assert plot.title == "Gain over the baseline"
    assert [(bar.name, bar.gain.mean) for bar in plot.bars] == [("1 ema", 1.0)]
    assert effects(table, []) is None


def test_effects_are_drawn_where_they_are_not_the_gains(tmp_path: Path) -> None:
    """Of one trick at a time they are; along a way each step has its own, and the table's gain is over the baseline."""
    make_run(tmp_path, (), 0, 50.0)
    make_run(tmp_path, ("sk",), 0, 51.0)
    report = make_report([tmp_path])
    (table,) = report.tables
    assert [found.gain.mean for found in report.gains[table.title]] == [1.0]
    assert effects(table, report.gains[table.title]) is None
    make_run(tmp_path, ("sk", "se"), 0, 53.0)
    report = make_report([tmp_path])
    (table,) = report.tables
    gains, parts = forest(table), effects(table, report.gains[table.title])
    assert gains is not None
    assert parts is not None
    assert [(bar.name, bar.gain.mean) for bar in gains.bars] == [("2 sk", 1.0), ("3 sk + se", 3.0)]
    assert [(bar.name, bar.gain.mean) for bar in parts.bars] == [("sk", 1.0), ("se", 2.0)]


def test_one_rule_of_colours(tmp_path: Path) -> None:
    """Better is green, worse is red; not told apart, or without an interval, is grey: in the table and the figure."""
    for seed, top1 in enumerate([50.0, 50.5]):
        for trick, more in (((), 0), (("sk",), 5 + 0.1 * seed), (("se",), -5 - 0.1 * seed), (("ema",), 9 * seed)):
            make_run(tmp_path, trick, seed, top1 + more)
    make_run(tmp_path, ("sam",), 0, 60.0)
    report = make_report([tmp_path])
    plot = forest(report.tables[0])
    assert plot is not None
    drawn = {bar.name[2:]: group.colour for bar, group in zip(plot.bars, draw(plot).groups[1:], strict=True)}
    assert drawn == {"sk": "good", "se": "bad", "ema": "soft", "sam": "soft"}
    lines = re.findall(r"<tr data-row.*?</tr>", page(report), re.DOTALL)[1:]
    kinds = [re.findall(r'<span class="(up|down|undecided)"', text)[0] for text in lines]
    assert [drawn[bar.name[2:]] for bar in plot.bars] == [
        {"up": "good", "down": "bad", "undecided": "soft"}[kind] for kind in kinds
    ]


def test_points_of_like_cost_do_not_cover_each_other() -> None:
    points = [Point(number, 1e7 + number, 60 + number / 50, 0.3, "") for number in range(1, 9)]
    points.append(Point(9, 2e7, 61, None, ""))
    drawn = draw(Scatter("", "", "", "", points))
    dots = [shape for group in drawn.groups for shape in group.shapes if isinstance(shape, Dot)]
    assert len(dots) == 9
    for place, dot in enumerate(dots):
        assert RADIUS <= dot.x <= drawn.width - RADIUS
        assert all((dot.x - other.x) ** 2 + (dot.y - other.y) ** 2 >= (2 * RADIUS) ** 2 for other in dots[:place])
    alone = draw(Scatter("", "", "", "", [points[0], points[8]]))
    assert alone.groups[2].shapes[0].x == dots[8].x  # type: ignore[union-attr] - what is alone is not moved


def test_the_page_and_the_files_have_one_palette() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert all(f"--{name}: {colour};" in css() for palette in (LIGHT, DARK) for name, colour in palette.items())
    assert all(f"svg .{kind} {{" in css() for kind in STYLES)
    used = {colour for style in STYLES.values() for colour in (style.fill, style.stroke)}
    assert used - {"", "own"} <= LIGHT.keys()


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


@pytest.mark.parametrize(("kind", "begin"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
def test_figures_as_files(tmp_path: Path, kind: str, begin: bytes) -> None:
    report = runs(tmp_path / "runs")
    drawn = [(plot.name, plot) for plot in plots(report.tables[0], report.gains[report.tables[0].title])]
    files = list(save_plots(drawn, tmp_path / kind, kind))
    assert [file.name for file in files] == [f"{name}.{kind}" for name in ("score", "gains", "effects", "curves")]
    assert all(file.read_bytes().startswith(begin) for file in files)


def test_an_svg_alone_needs_no_style_sheet(tmp_path: Path) -> None:
    plot = forest(runs(tmp_path).tables[0])
    assert plot is not None
    text = svg(draw(plot), alone=True)
    check(text)
    assert "var(" not in text
    assert "class=" not in text
    assert LIGHT["good"] in text
    assert "var(--good)" in svg(draw(plot))


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
    point = tab.locator("svg[aria-label='top-1 % over cost'] circle").nth(1)
    point.hover()
    assert "ema" in tab.locator("#tip").inner_text()
    assert tab.locator("tr.lit").get_attribute("data-row") == "2"
    tab.mouse.move(0, 0)
    assert tab.locator("#tip").is_hidden()
    tab.locator("td.place a").nth(1).click()
    assert tab.locator("details.sources").get_attribute("open") is not None
    assert tab.locator("[id='1-2'] h3").inner_text() == "<b>&mine + ema"
    assert complaints == []
    assert asked == [file.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 520, 400])
def test_the_page_fits(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    """Nothing but the table is ever wider than its place; that is at a desk none; its header and first column stay."""
    made = runs(tmp_path / "runs")
    more = {"mce": 80.0, "corruption_error": 60.0, "mfr": 50.0}
    for seed in (0, 1):
        make_run(tmp_path / "runs", ("se", "sam"), seed, 58.0, metrics=more, curve=[50.0], throughput=1234.5)
    for number in range(30):
        make_run(tmp_path / "runs", ("swa",), number, 52.0, recipe="another")
    made = make_report([tmp_path / "runs"])
    file = tmp_path / "report.html"
    file.write_text(page(made))
    tab = browser.new_page(viewport={"width": width, "height": 420}, color_scheme=scheme)
    tab.goto(file.as_uri())
    sizes = "all => all.map(e => e.scrollWidth - e.clientWidth)"
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert set(tab.locator("figure, header, .head, .notes, footer").evaluate_all(sizes)) == {0}
    cut = """all => all.filter(e => {
        const text = e.getBoundingClientRect(), whole = e.ownerSVGElement.getBoundingClientRect();
        return text.left < whole.left - 1 || text.right > whole.right + 1 || text.bottom > whole.bottom + 1;
    }).map(e => e.textContent)"""
    assert tab.locator("svg text").evaluate_all(cut) == []
    (wider,) = tab.locator(".table").evaluate_all(sizes)
    assert wider == 0 or width < 1280
    before = tab.locator("thead th").nth(1).bounding_box()
    tab.locator(".table").evaluate("e => { e.scrollLeft = 200; e.scrollTop = 60; }")
    assert tab.locator("thead th").nth(1).bounding_box()["y"] == before["y"]
    left = tab.locator(".table").bounding_box()["x"]
    for cell in ("thead th:nth-child(2)", "tbody tr:nth-child(3) td:nth-child(2)"):
        assert left <= tab.locator(cell).bounding_box()["x"] <= left + before["x"]
    tab.close()
