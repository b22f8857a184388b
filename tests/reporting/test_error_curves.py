"""Training and validation error by epoch: families side by side, seeds pooled."""

from pathlib import Path

import pytest

from assemble.errors import UserError
from assemble.reporting.drawing import Path as Line
from assemble.reporting.error_curves import caption, panels
from assemble.reporting.figure_files import save_error_curves
from assemble.reporting.figures import draw_errors
from assemble.reporting.report import Report, make_report
from tests.helpers.synthetic_runs import default_config, make_run


def network(name: str) -> dict:
    config = default_config()
    config["model"]["name"] = name
    return config


def study(folder: Path) -> Report:
    """Plain and residual networks of two depths; accuracies that differ by the seed."""
    for name, best in (("plain20", 60.0), ("plain56", 40.0), ("resnet20", 70.0), ("resnet56", 80.0)):
        for seed in (0, 1):
            val, training = ([best - 20 + 2 * seed, best + 2 * seed], [best - 30.0, best - 1])
            make_run(folder, (), seed, best, config=network(name), curve=val, training=training)
    return make_report([folder])


def test_each_family_has_a_panel(tmp_path: Path) -> None:
    make_run(tmp_path, ("sk",), 0, 61.0, config=network("plain20"), curve=[61.0])
    plain, residual = panels(study(tmp_path).tables)
    assert (plain.title, residual.title) == ("plain", "resnet")
    assert [errors.depth for errors in plain.errors] == [(20, 0), (20, 1), (56, 0)]
    assert [errors.depth for errors in residual.errors] == [(20, 0), (56, 0)]
    assert plain.errors[1].name == "sk"


def test_errors_are_what_accuracies_lack(tmp_path: Path) -> None:
    plain20 = panels(study(tmp_path).tables)[0].errors[0]
    assert plain20.validation.x.tolist() == [1, 2]
    assert plain20.validation.y.tolist() == [59.0, 39.0]  # the means of 60 and 58, of 40 and 38
    assert plain20.validation.sd.tolist() == pytest.approx([2**0.5, 2**0.5])
    assert plain20.training is not None
    assert plain20.training.y.tolist() == [70.0, 41.0]
    assert plain20.training.sd.tolist() == [0.0, 0.0]


def test_runs_that_did_not_log_their_training_accuracy_have_one_line(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0, curve=[40.0, 50.0])
    tables = make_report([tmp_path]).tables
    ((errors,),) = [panel.errors for panel in panels(tables)]
    assert errors.training is None
    assert "n = 1 seeds" in caption(tables)


def test_panels_of_several_data_sets_say_which(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0, curve=[40.0])
    other = network("tiny")
    other["data"]["name"] = "cifar10"
    make_run(tmp_path, (), 0, 50.0, config=other, curve=[40.0], data="cifar10")
    assert [panel.title for panel in panels(make_report([tmp_path]).tables)] == ["tiny, cifar10", "tiny, digits"]


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    make_run(tmp_path, (), 0, 50.0)
    with pytest.raises(UserError, match="--curves has nothing to draw"):
        panels(make_report([tmp_path]).tables)


@pytest.mark.parametrize(("kind", "begin"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
def test_the_file_is_what_its_name_says(kind: str, begin: bytes, tmp_path: Path) -> None:
    drawn = panels(study(tmp_path / "runs").tables)
    save_error_curves(drawn, "Lines.", tmp_path / f"curves.{kind}")
    assert (tmp_path / f"curves.{kind}").read_bytes().startswith(begin)


def test_a_depth_has_one_colour_over_the_panels_and_training_is_thin(tmp_path: Path) -> None:
    groups = draw_errors(panels(study(tmp_path).tables)).groups[1:]
    assert [group.colour for group in groups] == ["c0", "c1", "c0", "c1"]
    lines = [shape for shape in groups[0].shapes if isinstance(shape, Line) and shape.kind in {"thin", "curve"}]
    training, validation, _ = lines  # and the legend's
    assert (training.kind, validation.kind) == ("thin", "curve")
    assert training.points[0][1] < validation.points[0][1]  # 70 % is above 59 %


def test_more_rows_than_colours_have_several_panels(tmp_path: Path) -> None:
    for number in range(10):
        config = network("resnet20")
        config["optim"]["lr"] = 0.1 + number
        make_run(tmp_path, (), 0, 50.0, config=config, curve=[40.0])
    found = panels(make_report([tmp_path]).tables)
    assert [len(panel.errors) for panel in found] == [8, 2]
    colours = [group.colour for group in draw_errors(found).groups[1:]]
    assert len(set(colours[:8])) == 8


@pytest.mark.parametrize("name", ["curves", "curves.txt"])
def test_another_ending_is_refused(name: str, tmp_path: Path) -> None:
    drawn = panels(study(tmp_path).tables)
    with pytest.raises(UserError, match=rf"{name} does not say what image it is"):
        save_error_curves(drawn, "", tmp_path / name)
