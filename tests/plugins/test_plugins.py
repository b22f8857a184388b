"""Tricks, networks and data sets of other packages: found, shown, composed, trained and refused as our own are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from assemble import plugins
from assemble.check_plugin import check
from assemble.command_line.check import check_arguments
from assemble.config.compose import compose
from assemble.config.groups import group_names
from assemble.config.selection import active_tricks
from assemble.errors import UserError
from assemble.runs.identity import config_hash, plain_config, run_id
from assemble.runs.result import read_result
from tests.helpers.plugins import TEMPLATE, fresh, write
from tricks import create, trick_names

PACKAGE = "plugins=[my_tricks]"

TRICK = '''"""{about}"""
from dataclasses import dataclass
from torch import Tensor
from tricks.base import LossTrick, register

@register
@dataclass(frozen=True)
class Mine(LossTrick):
    """Parameters."""
    share: float = 0.5
    """Of the target."""

    def targets(self, targets: Tensor) -> Tensor:
        return targets * self.share
'''


@pytest.fixture
def template():
    with fresh(TEMPLATE):
        yield


def test_names_are_known_without_an_import(template):
    plugins.use(["my_tricks"])
    assert trick_names()["brightness"].startswith("Brightness: each training image")
    assert group_names()["model"]["PatchMLP"].startswith("A small network of patches")
    assert group_names()["data"]["stripes"] == "Stripes in four directions, drawn: nothing to download."
    assert not [name for name in sys.modules if name.startswith("my_tricks")]


def test_entry_points_name_the_same_things(template, monkeypatch):
    entries = EntryPoints(
        EntryPoint(name, value, f"assemble.{kind}")
        for kind, name, value in (
            ("tricks", "brightness", "my_tricks.brightness"),
            ("models", "PatchMLP", "my_tricks.networks:PatchMLP"),
            ("data", "stripes", "my_tricks.stripes:stripes"),
        )
    )
    monkeypatch.setattr(plugins, "_entries", lambda: entries)
    monkeypatch.setattr(plugins, "installed", plugins.installed.__wrapped__)
    by_entry = {kind: plugins.provided(kind) for kind in plugins.KINDS}
    assert {kind: list(found) for kind, found in by_entry.items()} == {
        "tricks": ["brightness"],
        "models": ["PatchMLP"],
        "data": ["stripes"],
    }
    plugins.use(["my_tricks"])  # again, by its files: the same, and no name is taken twice
    assert {kind: plugins.provided(kind) for kind in plugins.KINDS} == by_entry
    assert "brightness" in trick_names()
    assert create({"brightness": {"amount": 0.2}})[0].name == "brightness"


def test_typos_are_answered_by_name(template):
    assert check_arguments([PACKAGE, "+tricks=[brightness]", "model=PatchMLP", "data=stripes"]) is False
    for arguments, line in (
        ([PACKAGE, "+tricks=[brightnes]"], "unknown trick 'brightnes'. Did you mean 'brightness'"),
        ([PACKAGE, "model=PatchMPL"], "unknown model 'PatchMPL'. Did you mean 'PatchMLP'"),
        ([PACKAGE, "data=stripe"], "unknown data 'stripe'. Did you mean 'stripes'"),
        ([PACKAGE, "tricks.brightness.amount=1"], "trick 'brightness' is not selected"),
        (["plugins=[my_trick]"], r"plugins=\[my_trick\]: there is no package my_trick: install it"),
    ):
        with pytest.raises(UserError, match=line):
            check_arguments(arguments)


def test_help_shows_them(template, capsys):
    for names, parts in (
        ([], ["  brightness  ", "  PatchMLP  ", "  stripes  ", "  my_recipe"]),
        (
            ["brightness", "PatchMLP", "stripes", "my_recipe"],
            ["tricks.brightness.amount=0.4", "plugins             ['my_tricks']"],
        ),
    ):
        with pytest.raises(SystemExit):
            check_arguments(["--config-dir", str(TEMPLATE / "conf"), "--help", *names])
        shown = capsys.readouterr().out
        assert [part for part in parts if part not in shown] == []


def test_of_a_recipe_of_a_config_dir_what_it_inherits_is_shown(tmp_path, capsys):
    (tmp_path / "recipe").mkdir()
    text = """# @package _global_
# Mine
defaults: [/recipe/assemble_e06, {override /tricks: [sk]}]
data: {batch_size: 96}
"""
    (tmp_path / "recipe" / "mine.yaml").write_text(text)
    with pytest.raises(SystemExit):
        check_arguments(["--config-dir", str(tmp_path), "--help", "mine"])
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"Mine", "tricks sk", "data.batch_size 96", "trainer.max_epochs 270", "data imagenet"} <= set(shown)
    example = f"python train.py --config-dir={tmp_path} recipe=mine explain=true"  # wrapped where the path is long
    assert example.replace(" ", "") in "".join(shown).replace(" ", "").replace("\\", "")


def test_a_data_set_brings_its_defaults(template, tmp_path):
    chosen = compose([PACKAGE, "data=stripes"]).data
    assert (chosen.name, chosen.image_size, chosen.batch_size, chosen.crop_pad) == ("stripes", 24, 32, 2)
    assert compose([PACKAGE, "data=stripes", "data.batch_size=8"]).data.batch_size == 8
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stripes.yaml").write_text("# Mine\nname: stripes\nbatch_size: 48\n")
    arguments = ["--config-dir", tmp_path, "plugins=[my_tricks]", "data=stripes", "--cfg=job", "--package=data"]
    shown = run(sys.executable, "-m", "assemble.programs.train", *arguments, path=TEMPLATE, cwd=tmp_path)
    assert "batch_size: 48" in shown
    assert "name: stripes" in shown


@pytest.mark.parametrize(("text", "said"), [("a: [", "cannot be read"), ("- a", "holds no keys and values")])
def test_defaults_of_a_data_set_that_are_none(text, said, tmp_path):
    copy = shutil.copytree(TEMPLATE, tmp_path / "copy")
    (copy / "my_tricks" / "conf" / "data" / "stripes.yaml").write_text(text)
    with fresh(copy), pytest.raises(UserError, match=f"plug-in my_tricks: .*stripes.yaml {said}"):
        compose([PACKAGE, "data=stripes"])


def test_the_recipe_of_a_config_dir_brings_its_plugins(template):
    assert check_arguments(["-m", "--config-dir", str(TEMPLATE / "conf"), "recipe=my_recipe", "seed=0,1"]) is True
    assert "brightness" in trick_names()


def test_a_run_is_named_and_hashed_by_what_it_has(template):
    """``plugins`` itself is in no hash."""
    plain = plain_config(compose(["seed=0"]))
    with_plugins = plain_config(compose([PACKAGE, "seed=0"]))
    assert with_plugins["plugins"] == ["my_tricks"]
    assert config_hash(plain) == config_hash(with_plugins)
    arguments = [PACKAGE, "+tricks=[brightness]", "model=PatchMLP", "data=stripes"]
    assert run_id(compose(arguments)).startswith("PatchMLP-stripes-brightness-s0-")
    one, two = (config_hash(plain_config(compose([*arguments, *more]))) for more in ([], ["model.args.width=16"]))
    assert one != two
    assert plugins.origin(plain_config(compose(arguments))) == {"my_tricks": None}
    assert plugins.origin(plain) == {}


def test_a_worker_that_has_read_no_command_line_uses_the_plugins(template):
    cfg = compose([PACKAGE, "+tricks=[brightness]"])
    plugins._USED.clear()
    assert active_tricks(cfg) == ["brightness"]


def test_the_registry_wide_checks_pass(template):
    lines = check("my_tricks")
    assert lines[0] == "trick brightness: resnet20"
    assert lines[1].startswith("network PatchMLP: takes")
    assert "stochastic_depth" in lines[1]
    assert "dropout" in lines[1]
    assert "resnet_d" not in lines[1]
    assert lines[2] == "data set stripes: 256 train, 64 val, 64 test"


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"other": "import nothing\n"}, "has no trick, network or data set"),
        ({"mine": TRICK.format(about="No full stop")}, "trick mine: the first line of its docstring is no sentence"),
        ({"mine": TRICK.format(about="One.\n\nPaper: none.\n")}, r"trick mine: its docstring has no Changes: Differs:"),
    ],
)
def test_the_checks_find_what_is_wrong(files, line, tmp_path):
    with fresh(write(tmp_path / "checked", **files)), pytest.raises(UserError, match=line):
        check("checked")


# --- bad input


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"mixup": TRICK.format(about="Mine.")}, r"plug-in bad: the name of its trick 'mixup' \(bad\.mixup\) is taken"),
        ({"mine": TRICK.format(about="")}, r"plug-in bad: trick mine \(mine\.py\) has no docstring"),
        ({"mine": "def (:\n"}, r"plug-in bad: .*mine\.py cannot be read \(invalid syntax in line 1\): mend it"),
        (
            {"nets": "from assemble.plugins import register_model\n@register_model\ndef tiny(k):\n    'A net.'"},
            "plug-in bad: the name of its network 'tiny'",
        ),
        (
            {"sets": "from assemble.plugins import register_data\n@register_data\ndef digits(cfg):\n    'A set.'"},
            "plug-in bad: the name of its data set 'digits'",
        ),
    ],
)
def test_a_bad_plugin_is_one_line(files, line, tmp_path):
    with fresh(write(tmp_path / "bad", **files)), pytest.raises(UserError, match=line):
        check_arguments(["plugins=[bad]", "seed=1"])


def test_a_plugin_that_fails_to_import_is_told_of_where_it_is_meant(tmp_path):
    broken = "import nosuch_package\n"
    with fresh(
        write(tmp_path / "bad", mine=TRICK.format(about="Mine.").replace("\nfrom torch", f"\n{broken}from torch"))
    ):
        assert check_arguments(["plugins=[bad]", "+tricks=[mine]"]) is False
        assert compose(["plugins=[bad]", "seed=3"]).seed == 3  # what nobody chose is not imported
        with pytest.raises(
            UserError, match=r"plug-in bad: bad\.mine cannot be imported \(ModuleNotFoundError: .*nosuch_p"
        ):
            compose(["plugins=[bad]", "+tricks=[mine]"])


def test_two_plugins_with_one_name(tmp_path):
    folder = write(tmp_path / "first", mine=TRICK.format(about="Mine."))
    write(tmp_path / "second", mine=TRICK.format(about="Mine, too."))
    line = r"plug-ins first and second both have a trick 'mine' \(first\.mine, second\.mine\)"
    with fresh(folder), pytest.raises(UserError, match=line):
        check_arguments(["plugins=[first,second]", "seed=1"])


def test_other_decorators_of_that_name_are_none_of_ours(tmp_path):
    text = "def register(cls):\n    return cls\n@register\nclass Other:\n    pass\n"
    with fresh(write(tmp_path / "registry", other=text)):
        plugins.use(["registry"])
        assert [plugins.provided(kind) for kind in plugins.KINDS] == [{}, {}, {}]


# --- whole programs


def run(*command: Any, path: Path, cwd: Path) -> str:
    """Run a command with ``path`` first among the imports; returns what it printed."""
    import os

    from assemble.paths import ROOT

    environment = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
@pytest.mark.slow
def test_the_template_installed_trains_sweeps_reports_and_exports(tmp_path):
    """Built by pip into a folder, with its entry points: nothing names the package any more."""
    copy = shutil.copytree(TEMPLATE, tmp_path / "copy")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        tmp_path / "site",
        copy,
    ]
    run(*pip, path=tmp_path, cwd=tmp_path)
    site, python = tmp_path / "site", sys.executable

    def program(name: str, *arguments: Any) -> str:
        start = f"from assemble.programs.{name} import main; main()"
        return run(python, "-c", start, *arguments, path=site, cwd=tmp_path)

    assert "  brightness  " in program("train", "--help")
    chosen = ["+tricks=[brightness]", "model=PatchMLP", "data=stripes", "trainer.max_epochs=1", "trainer=cpu"]
    program("train", "-m", "hydra/sweeper=ablation", *chosen, "trainer.progress_bar=false")
    (directory,) = (tmp_path / "runs").glob("PatchMLP-stripes-brightness-s0-*")
    result: Any = read_result(directory)
    assert result["plugins"] == {"my_tricks": "0.1.0"}
    assert (result["model"], result["data"], result["tricks"]) == ("PatchMLP", "stripes", ["brightness"])
    program("report", tmp_path / "runs", "csv=table.csv")
    assert "brightness" in (tmp_path / "table.csv").read_text()
    checkpoint = f"checkpoint={directory / 'best.ckpt'}"
    program("evaluate", checkpoint)
    program("export", checkpoint, "formats=[safetensors,pt2]")
    assert (directory / "export" / "model.pt2").is_file()
    recipe = ["--config-dir", copy / "conf", "recipe=my_recipe", "explain=true", "plugins=[]"]
    assert "PatchMLP" in program("train", *recipe)
    assert "trick brightness" in run(python, "-m", "assemble.check_plugin", "my_tricks", path=site, cwd=tmp_path)


@pytest.mark.process
def test_the_template_on_the_path_trains(tmp_path):
    arguments = ["--config-dir", TEMPLATE / "conf", "recipe=my_recipe", "trainer.max_epochs=1", "trainer=cpu"]
    run(sys.executable, "-m", "assemble.programs.train", *arguments, path=TEMPLATE, cwd=tmp_path)
    (file,) = tmp_path.glob("runs/PatchMLP-stripes-brightness-*/result.json")
    assert json.loads(file.read_text())["plugins"] == {"my_tricks": None}
    assert OmegaConf.load(file.with_name("config.yaml")).plugins == ["my_tricks"]
