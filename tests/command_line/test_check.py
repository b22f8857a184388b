"""The command line: what is refused, in which words, and what is let through."""

import dataclasses
import os
import shlex
import subprocess
import sys

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from assemble import complaints
from assemble.command_line.check import check_arguments
from assemble.command_line.help import families
from assemble.command_line.one_line_errors import one_line_errors
from assemble.command_line.options import answer_help
from assemble.complaints import as_the_user_had_it, explanation, raise_through_hydra
from assemble.config.groups import recipe_names
from assemble.config.recipes import FlatRecipe, flatten
from assemble.config.register import meant, register
from assemble.config.selection import active_tricks, check_used, selected_tricks
from assemble.data.sources import OWN_KEYS, SOURCES
from assemble.errors import UserError
from assemble.interrupts import INTERRUPTS, Stopped
from assemble.paths import ROOT
from assemble.schema import DataConfig
from assemble.suggest import suggest
from tests.helpers.composing import composed
from tricks import own_tricks, trick_names

RECIPES = {
    "base": {"defaults": ["/tricks/resnet_d", "_self_"], "trainer": {"max_epochs": 120}},
    "middle": {
        "defaults": ["base", {"override /model": "resnet50"}, "/tricks/sk", "_self_"],
        "tricks": {"sk": {"reduction": 4}},
        "reported": {"top1": 80.0, "mce": 60.0},
    },
    "top": {"defaults": ["middle", "/tricks/mixup"], "tricks": {"sk": {"reduction": 8}}, "reported": {"top1": 81.4}},
}


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three recipes of our own, and no rank."""
    for module in ("assemble.command_line.check", "assemble.config.recipes", "assemble.config.register"):
        monkeypatch.setattr(f"{module}.recipe_names", lambda: dict.fromkeys(RECIPES, "a recipe"))
    monkeypatch.setattr("assemble.config.recipes.recipe_content", lambda name: RECIPES[name])
    groups = sys.modules["assemble.config.groups"].group_names
    monkeypatch.setattr(
        "assemble.command_line.check.group_names", lambda: {**groups(), "recipe": dict.fromkeys(RECIPES, "a recipe")}
    )
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def mistake(*overrides: str) -> str:
    """The line about a composition that fails."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever Hydra raises
        composed(*overrides)
    line = explanation(caught.value)
    assert line is not None
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["+tricks=[mixp]"], ["unknown trick 'mixp'. Did you mean 'mixup'? There are ", "--help tricks"]),
        (["tricks=skk"], ["unknown trick 'skk'. Did you mean 'sk'?"]),
        (["-m", "+tricks=[],[sk],[sk,mixp]"], ["unknown trick 'mixp'"]),
        (["-m", "tricks=choice([],[skk])"], ["unknown trick 'skk'"]),
        (["drop=[skk]"], ["unknown trick 'skk'"]),
        (["tricks.skk.reduction=4"], ["unknown trick 'skk'. Did you mean 'sk'?"]),
        (["~tricks.skk"], ["unknown trick 'skk'"]),
        (["recipe=topp"], ["unknown recipe 'topp'. Did you mean 'top'?"]),
        (["model=resnet-50"], ["unknown model 'resnet-50'. Did you mean 'resnet50'?"]),
        (["-m", "model=resnet18,resnet999"], ["unknown model 'resnet999'"]),
        (["-m", "model=glob(zz*)"], ["model=glob(zz*) matches nothing. There are "]),
        (["data=digit"], ["unknown data 'digit'. Did you mean 'digits'?"]),
        (["optim=sgdd"], ["unknown optim 'sgdd'"]),
        (["logger=[csv,wanbd]"], ["unknown logger 'wanbd'. Did you mean 'wandb'?"]),
        (["trainer=smok"], ["unknown trainer 'smok'. Did you mean 'smoke'?"]),
        (["eval=x"], ["unknown eval 'x'"]),
        (
            ["recipe=assemble_e05", "recipe=assemble_e06"],
            ["recipe=assemble_e05 and recipe=assemble_e06: give recipe once"],
        ),
        (["seed=1", "+seed=2"], ["seed=1 and +seed=2: give seed once"]),
        (["foo/bar=x"], ["unknown group 'foo/bar'"]),
        (["modle=resnet50"], ["unknown key 'modle'. Did you mean 'model'?"]),
        (["+trick=[sk]"], ["unknown key 'trick'. Did you mean 'tricks'?"]),
        (["++sede=3"], ["unknown key 'sede'. Did you mean 'seed'?"]),
        (["max_epochs=3"], ["unknown key 'max_epochs'. Did you mean 'trainer.max_epochs'?"]),
        (["optim.lrr=1"], ["unknown key 'optim.lrr'. Did you mean 'optim.lr'?"]),
        (["+trainer.foo=1"], ["unknown key 'trainer.foo'. There are ", "--help trainer"]),
        (["logger.wadb.project=x"], ["unknown logger 'wadb'. Did you mean 'wandb'?"]),
        (["tricks=[sk]", "+tricks=[mixup]"], ["tricks=[..] and +tricks=[..] together"]),
        (["+tricks=sk,mixup"], ["-m", "'+tricks=[sk,mixup]'"]),
        (["seed=0,1"], ["seed=0,1 is a sweep", "-m"]),
        (["recipe=top", "+tricks=[sk]"], ["recipe top already has sk", "tricks.sk.<parameter>=..."]),
        (["-m", "recipe=base,top", "+tricks=[],[cutmix,sk]"], ["recipe top already has sk"]),
        (
            ["tricks.sk.reduction=4"],
            ["trick 'sk' is not selected, so tricks.sk.reduction changes nothing", "+tricks=[sk]"],
        ),
        (["++tricks.sk.reduction=4"], ["trick 'sk' is not selected"]),
        (["recipe=base", "tricks.sk.reduction=4"], ["trick 'sk' is not selected"]),
        (["recipe=top", "tricks=[mixup]", "tricks.sk.reduction=4"], ["trick 'sk' is not selected"]),
        (["recipe=top", "drop=[sk]", "tricks.sk.reduction=4"], ["trick 'sk' is not selected"]),
        (["-m", "+tricks=[],[sk]", "tricks.sk.reduction=4"], ["not selected in every job"]),
        (["+tricks=[sk]", "tricks.sk=4"], ["tricks.sk=4", "set tricks.sk.<parameter>=..."]),
        (["+tricks=[sk]", "tricks.sk=null"], ["tricks.sk has parameters, but is no value"]),
        (["+tricks=[sk]", "+tricks.sk={reduction: 4}"], ["set tricks.sk.<parameter>=..."]),
        (["logger.csv=4"], ["set logger.csv.<parameter>=..."]),
        (["tricks={sk: {reduction: 4}}"], ["write tricks=[..]"]),
        (["tricks=null"], ["write tricks=[..]"]),
        (["logger=null"], ["write logger=[..]"]),
        (["drop=null"], ["write drop=[..]"]),
        (["+tricks=[sk]", "+tricks=[mixup]"], ["put all tricks into one list"]),
        (["tricks=[sk]", "tricks=[mixup]"], ["put all tricks into one list"]),
        *(([f"{group}=null"], [f"choose one {group}"]) for group in ("model", "data", "optim", "trainer", "eval")),
        (["recipe=null"], ["choose one recipe, or leave it out"]),
        (["model=[tiny,resnet50]"], ["choose one model"]),
        (["data={root: /x}"], ["choose one data"]),
        (["-m", "model=tiny,null"], ["choose one model"]),
        (["model.checkpoint="], ["model.checkpoint= is empty", "leave it out"]),
        (["-m", "data.root='',x"], ["is empty"]),
        (["~seed"], ["~seed: only a trick, a logger or a callback can be taken away"]),
        (["~model"], ["~model: only a trick, a logger or a callback can be taken away"]),
        (["~tricks.sk.reduction"], ["only a trick, a logger or a callback can be taken away"]),
        (["-m", "seed=range(0,0)"], ["seed=range(0,0) is an empty range, so there is no job"]),
        (["-m", "seed=range(1.0,0.0)"], ["there is no job"]),
        (["data.root=a,b"], ["is a sweep", """'data.root="a,b"'"""]),
        (["sk"], ["cannot read the argument 'sk'", "key=value"]),
        (["--foo"], ["--foo"]),
        (["seed=1", "-m", "seed=2"], ["before the key=value arguments"]),
        (["hydra/sweeper=ablation", "recipe=top"], ["hydra/sweeper: for a sweep, so put -m first"]),
        (["hydra.sweeper.dry_run=true"], ["put -m first"]),
        (["trainer.max_epochs=2", "trainer.max_steps=9"], ["two lengths of one training"]),
        (["trainer.max_epochs=null", "trainer.max_steps=9"], ["=null and", "leave the other out"]),
        (["callbacks=[early_stoping]"], ["Did you mean 'early_stopping'?"]),
        (["callbacks.mine.x=1"], ["unknown callback 'mine'. Available: early_stopping"]),
        (["+callbacks.mine=MyCallback"], ["has parameters, but is no value"]),
        (["-m", "hydra.sweeper=ablation"], ["write hydra/sweeper=ablation"]),
        (["-m", "hydra.sweeper.mode=pairs"], ["hydra.sweeper.mode is for hydra/sweeper=ablation: add that"]),
        (["--help", "trick"], ["unknown name 'trick'. Did you mean 'tricks'?"]),
    ],
)
def test_refused_in_one_line(arguments: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        check_arguments(arguments)
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("arguments", "sweep"),
    [
        ([], False),
        (["+tricks=[resnet_d,sk,mixup]", "trainer.devices=8"], False),
        (["recipe=top", "+tricks=[cutmix]", "drop=[mixup]", "tricks.sk.reduction=4"], False),
        (["tricks=[]", "logger=[csv,wandb]", "logger.wandb.project=x", "~logger.wandb", "~tricks.sk"], False),
        (["data.root=null", 'model.checkpoint="~/a=b,c"'], False),
        (["--cfg", "job", "hydra.mode=MULTIRUN"], False),  # no job is run
        (["-m", "+tricks=[],[resnet_d],[resnet_d,sk]", "seed=0,1,2"], True),
        (["--multirun", "model=glob(*)", "seed=range(0,3)", "optim.lr=interval(0.1,1)"], True),
        (["hydra.mode=MULTIRUN", "seed=0,1"], True),
        (
            ["-m", "hydra/sweeper=ablation", "recipe=top", "hydra.sweeper.mode=shapley", "hydra.sweeper.tricks=[sk]"],
            True,
        ),
        (["-m", "hydra/sweeper=of_somebody_else", "hydra.sweeper.n_trials=3", "seed=0,1"], True),
        (["-m", "+hydra.sweeper.params.seed='0,1'"], True),
        # One run for each trick left out, with another parameter for one of them.
        (["-m", "recipe=top", "drop=[],[sk],[mixup]", "tricks.sk.reduction=4"], True),
        (["--cfg", "job", "hydra/launcher=joblib", "hydra.verbose=true", "+logger.mine.x=1", "+reported.x=1"], False),
        (["--info", "defaults"], False),
        (["--shell-completion", "query=bash"], False),
        (["--hydra-help"], False),
    ],
)
def test_let_through(arguments: list[str], sweep: bool) -> None:
    assert check_arguments(arguments) is sweep


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hydra.sweeper.mode=cumulativ", "hydra.sweeper.mode: Invalid value 'cumulativ', expected one of [cumulative,"),
        ("hydra.sweeper.mod=pairs", "unknown key 'hydra.sweeper.mod'. Did you mean 'hydra.sweeper.mode'?"),
        ("hydra.sweeper.permutations=many", "hydra.sweeper.permutations: 'many' is not an integer"),
        ("hydra.sweeper.tricks=sk", "hydra.sweeper.tricks: not a list. Write hydra.sweeper.tricks=[..]"),
    ],
)
def test_keys_of_a_sweeper(argument: str, message: str) -> None:
    with pytest.raises(OmegaConfBaseException) as caught:
        check_arguments(["-m", "hydra/sweeper=ablation", argument])
    assert (explanation(caught.value) or "").startswith(message)


def test_a_sweeper_that_is_none() -> None:
    line = mistake("hydra/sweeper=ablaton")
    assert line.startswith("unknown hydra/sweeper 'ablaton'. Did you mean 'ablation'? Available: ")


def test_unreadable_argument() -> None:
    with pytest.raises(Exception, match="no viable alternative") as caught:
        check_arguments(["+tricks=[sk"])
    line = explanation(caught.value)
    assert line is not None
    assert line.startswith("cannot read the argument '+tricks=[sk'")
    assert "\n" not in line


@pytest.mark.parametrize("value", ["~/pics", "my=pics", "bücher", "a#b", "it's", 'a"b', "x(1)"])
def test_special_characters(value: str) -> None:
    """The error shows how to write it, and that is read as it was meant."""
    with pytest.raises(OverrideParseException) as caught:
        check_arguments([f"data.root={value}"])
    line = explanation(caught.value) or ""
    assert line.startswith(f"cannot read the argument 'data.root={value}': quote")
    (argument,) = shlex.split(line[line.index("characters: ") + len("characters: ") :])
    (override,) = OverridesParser.create().parse_overrides([argument])
    assert (override.key_or_group, override.value()) == ("data.root", value)


@pytest.mark.parametrize("argument", ["tricks..sk=4", "sééd=4", "data.mean=[1"])
def test_quotes_are_not_advised_where_they_do_not_help(argument: str) -> None:
    with pytest.raises(OverrideParseException) as caught:
        check_arguments([argument])
    assert "quote a value" not in (explanation(caught.value) or "")


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK"])
def test_no_sweep_on_ranks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "0")
    assert check_arguments(["seed=0"]) is False
    with pytest.raises(UserError, match="-m cannot be started by torchrun"):
        check_arguments(["-m", "seed=0,1"])


def test_options_of_another_config_dir(tmp_path) -> None:
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "mine.yaml").write_text("lr: 1\n")
    assert check_arguments(["--config-dir", str(tmp_path), "optim=mine"]) is False
    with pytest.raises(UserError, match="unknown optim 'mine'"):
        check_arguments(["optim=mine"])


def test_help_lists_everything(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["-h", "tricks"]):
        with pytest.raises(SystemExit) as caught:
            check_arguments(arguments)
        assert caught.value.code == 0
        text = capsys.readouterr().out
        for name, about in trick_names().items():
            assert f"  {name} " in text
            assert about in " ".join(text.split())
    assert "Available" not in text
    assert "resnet50" not in text  # of tricks only


def test_help_lists_recipes_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"a_0": "A: the first", "a_1": "A: the second", "a_2": "A: the third", "b": "B: alone"}
    known |= {"c18": "C: of 18 layers", "c50": "C: of 50 layers"}
    assert families(known) == {
        "a_0 .. a_2": "(3) A: the first",
        "b": "(1) B: alone",
        "c18 .. c50": "(2) C: of 18 layers",
    }
    texts = []
    for arguments in (["--help"], ["--help", "recipe"]):
        with pytest.raises(SystemExit):
            check_arguments(arguments)
        texts.append(capsys.readouterr().out)
    for name, about in recipe_names().items():
        assert f"  {name} " in texts[1]
        assert about in " ".join(texts[1].split())
    assert len([line for line in texts[0].splitlines() if line.startswith("  assemble_")]) == 1


def test_only_the_recipes_that_a_command_line_can_mean_are_registered() -> None:
    assert meant(["recipe=middle", "seed=1"]) == ["middle"]
    assert meant(["-m", "recipe=base,top"]) == ["base", "top"]
    assert meant(["seed=1"]) == []
    for arguments in (["-m", "recipe=glob(t*)"], ["--config-dir", "x", "seed=1"], ["--info", "searchpath"]):
        assert meant(arguments) == list(RECIPES)


def test_an_optimizer_of_which_a_recipe_would_keep_half_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "own", {"defaults": ["base"], "optim": {"name": "sgd", "lr": 0.4}})
    with pytest.raises(UserError, match=r"recipe own sets optim\.name, optim\.lr, .*optim\.name=lamb"):
        check_arguments(["recipe=own", "optim=lamb"])
    check_arguments(["recipe=own", "optim.name=lamb", "optim.lr=5e-3"])
    check_arguments(["recipe=base", "optim=lamb"])
    check_arguments(["optim=lamb"])


@pytest.mark.process
def test_answers_without_torch() -> None:
    """The real program, from another directory: nothing heavy is imported for a typo or the help."""
    program = (
        "import sys, runpy\n"
        "sys.path.insert(0, sys.argv.pop(1))\n"
        "try: runpy.run_path(sys.path[0] + '/train.py', run_name='__main__')\n"
        "finally: assert not {'torch', 'timm', 'pytorch_lightning', 'wandb'} & set(sys.modules)\n"
    )
    for arguments, code in ((["+tricks=[mixp]"], 2), (["--help"], 0), (["recipe=nosuch"], 2)):
        command = [sys.executable, "-c", program, str(ROOT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == code, done.stderr
        if code:
            assert done.stderr.startswith("error: ")
            assert done.stderr.count("\n") == 1


def test_recipes_are_flattened() -> None:
    top = flatten("top")
    assert top.tricks == ["resnet_d", "sk", "mixup"]
    assert top.others == {"override /model": "resnet50"}
    assert top.body["tricks"] == {"sk": {"reduction": 8}}
    assert top.body["trainer"] == {"max_epochs": 120}
    assert top.body["reported"] == {"top1": 81.4}  # without the mce of its parent, which is of another row
    assert top.node()["defaults"] == [{"/tricks": top.tricks}, "_self_", {"override /model": "resnet50"}]
    assert FlatRecipe().node()["defaults"] == ["_self_"]


def test_a_broken_recipe_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    monkeypatch.setattr("assemble.config.recipes.recipe_content", lambda name: yaml.safe_load("a: 1\nb: 2  c: 3\n"))
    with pytest.raises(UserError, match=r"recipes/top\.yaml is not valid YAML in line 2"):
        flatten("top")


@pytest.mark.parametrize(
    ("contents", "line"),
    [
        ({"top": {"defaults": ["top"]}}, "recipes/top.yaml inherits from itself: top -> top"),
        (
            {"top": {"defaults": ["middle"]}, "middle": {"defaults": ["base"]}, "base": {"defaults": ["middle"]}},
            "recipes/middle.yaml inherits from itself: middle -> base -> middle",
        ),
        ({"top": {"defaults": "base"}}, "recipes/top.yaml: defaults must be a list"),
        ({"top": {"defaults": {"base": 1}}}, "recipes/top.yaml: defaults must be a list"),
        ({"top": {"defaults": [1]}}, "recipes/top.yaml: cannot read 1 in defaults: write - NAME"),
        ({"top": {"defaults": [["base"]]}}, "recipes/top.yaml: cannot read ['base'] in defaults"),
        ({"top": {"defaults": [{"override /model": None}]}}, "recipes/top.yaml: cannot read {'override /model': None}"),
        ({"top": ["base"]}, "recipes/top.yaml is not a recipe"),
        ({"top": {"defaults": ["nosuch"]}}, "recipes/top.yaml: unknown recipe 'nosuch'"),
        ({"top": {"defaults": ["/tricks/skk"]}}, "recipes/top.yaml: unknown trick 'skk'. Did you mean 'sk'?"),
        ({"top": {"tricks": {"sk": {"reduction": 4}}}}, "recipes/top.yaml has sk under tricks, but does not select it"),
        ({"top": {"tricks": ["sk"]}}, "recipes/top.yaml has sk under tricks, but does not select it"),
        ({"top": {"defaults": ["/tricks/sk"], "tricks": {"sk": 4}}}, "recipes/top.yaml: tricks must hold parameters"),
        ({"top": {"defaults": None}}, None),
    ],
)
def test_a_faulty_recipe(contents: dict, line: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, it is told what is wrong with it; without being asked for it stops nobody."""
    monkeypatch.setattr("assemble.config.recipes.recipe_content", lambda name: contents.get(name, {}))
    if line is None:
        assert check_arguments(["recipe=top"]) is False
    else:
        with pytest.raises(UserError) as caught:
            check_arguments(["recipe=top"])
        assert str(caught.value).startswith(line)
    register()
    assert check_arguments([]) is False


def test_files_that_are_none(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken files, folders and dangling links among the recipes and tricks do not stop the listing."""
    monkeypatch.undo()
    for folder in ("tricks", "recipes", "conf"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tricks" / "broken.py").write_text('"""Broken."""\ndef (:\n')
    (tmp_path / "tricks" / "whole.py").write_text('"""Whole."""\n')
    (tmp_path / "tricks" / ".#whole.py").symlink_to("nowhere")
    (tmp_path / "recipes" / "latin.yaml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "recipes" / "folder.yaml").mkdir()
    monkeypatch.setattr("tricks.FOLDER", tmp_path / "tricks")
    monkeypatch.setattr("assemble.config.groups.RECIPES", tmp_path / "recipes")
    assert own_tricks.__wrapped__() == {"broken": "(cannot be read: invalid syntax in line 2)", "whole": "Whole."}
    assert list(recipe_names.__wrapped__()) == ["latin"]
    monkeypatch.setattr("assemble.config.recipes.recipe_names", lambda: {"latin": ""})
    with pytest.raises(UserError, match=r"recipes/latin\.yaml is not valid YAML"):
        flatten("latin")


def test_what_only_recipes_inherit_is_no_recipe(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the numbers reported for one row are never mixed with another's."""
    monkeypatch.undo()
    (tmp_path / "_shared.yaml").write_text("optim: {lr: 0.4}\n")
    (tmp_path / "row.yaml").write_text("defaults: [_shared]\nreported: {top1: 1, mce: 2}\n")
    (tmp_path / "next.yaml").write_text("defaults: [row]\nreported: {top1: 3}\n")
    monkeypatch.setattr("assemble.config.groups.RECIPES", tmp_path)
    names = recipe_names.__wrapped__()
    assert list(names) == ["next", "row"]
    monkeypatch.setattr("assemble.config.recipes.recipe_names", lambda: names)
    assert flatten("row").body == {"optim": {"lr": 0.4}, "reported": {"top1": 1, "mce": 2}}
    assert flatten("next").body == {"optim": {"lr": 0.4}, "reported": {"top1": 3}}


def test_real_recipes_name_real_tricks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name in recipe_names():
        assert set(flatten(name).tricks) <= set(trick_names())


@pytest.mark.parametrize(
    ("overrides", "tricks", "reduction"),
    [
        (["+tricks=[sk]"], ["sk"], 2),
        (["+tricks=[sk]", "tricks.sk.reduction=16"], ["sk"], 16),
        (["recipe=middle"], ["resnet_d", "sk"], 4),
        (["recipe=top"], ["resnet_d", "sk", "mixup"], 8),
        (["recipe=top", "+tricks=[cutmix]", "drop=[resnet_d]"], ["sk", "mixup", "cutmix"], 8),
        (
            ["recipe=top", "tricks=[mixup]"],
            ["mixup"],
            None,
        ),  # the recipe's sk.reduction stays behind, and is passed over
        (["recipe=top", "tricks=[sk]"], ["sk"], 8),
        (["recipe=top", "tricks=[]"], [], None),
        (["recipe=top", "~tricks.sk"], ["resnet_d", "mixup"], None),
    ],
)
def test_selected_tricks(
    overrides: list[str], tricks: list[str], reduction: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_arguments(overrides)
    cfg = composed(*overrides)
    monkeypatch.setattr(
        "assemble.config.selection._command_line_keys", lambda: [o.partition("=")[0] for o in overrides]
    )
    assert active_tricks(cfg) == tricks
    objects = selected_tricks(cfg)
    assert list(objects) == tricks
    assert [trick.name for trick in objects.values()] == tricks
    assert all(dataclasses.is_dataclass(trick) for trick in objects.values())
    if reduction is not None:
        assert getattr(objects["sk"], "reduction") == reduction  # noqa: B009
    if "recipe=top" in overrides:
        assert (cfg.model.name, cfg.trainer.max_epochs, cfg.reported.top1) == ("resnet50", 120, 81.4)


def test_parameters_that_nobody_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a recipe from --config-dir may have them, which only Hydra reads."""
    cfg = composed("+tricks=[mixup]", "++tricks.sk.reduction=4")
    monkeypatch.setattr("assemble.config.selection._command_line_keys", lambda: ["recipe", "+tricks"])
    with pytest.raises(UserError, match=r"the recipe has sk under tricks.*add - /tricks/sk"):
        active_tricks(cfg)
    monkeypatch.setattr("assemble.config.selection._command_line_keys", lambda: ["recipe", "tricks"])
    assert active_tricks(cfg) == ["mixup"]
    monkeypatch.setattr("assemble.config.selection._command_line_keys", lambda: ["tricks", "tricks.sk"])
    with pytest.raises(UserError, match=r"trick 'sk' is not selected, so tricks.sk changes nothing"):
        active_tricks(cfg)


def test_a_parameter_added_to_a_trick() -> None:
    with pytest.raises(UserError, match=r"unknown parameter of trick sk 'foo'. Available: reduction"):
        selected_tricks(composed("+tricks=[sk]", "+tricks.sk.foo=4"))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["data.root=/x"], "data=digits takes no data.root: leave it out, or add data=cifar10 or data=imagefolder"),
        (["data.crop_scale=[0.5,1]"], "data=digits takes no data.crop_scale"),
        (["data=cifar10", "data.root=/x", "data.eval_crop=0.9"], "data=cifar10 takes no data.eval_crop"),
        (["data=imagefolder", "data.download=true"], "data=imagefolder takes no data.download: leave it out, or add"),
        (["data=food101", "data.root=/x", "data.download=true", "data.crop_scale=[0.5,1]"], None),
        (["data.name=digit"], "unknown data set 'digit'. Did you mean 'digits'?"),
        (["data=imagefolder", "data.root=/x", "data.crop_scale=[0.5,1]", "data.flip=0"], None),
        (["data.crop_pad=2", "data.label_offset=1"], None),
        (["recipe=top"], None),
    ],
)
def test_keys_that_nothing_reads(overrides: list[str], line: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = composed(*overrides)
    monkeypatch.setattr(
        "assemble.config.selection._command_line_keys", lambda: [o.partition("=")[0] for o in overrides]
    )
    if line is None:
        return check_used(cfg)
    with pytest.raises(UserError) as caught:
        check_used(cfg)
    assert str(caught.value).startswith(line)


def test_every_data_set_says_which_keys_are_its_own() -> None:
    assert OWN_KEYS.keys() == SOURCES.keys()
    assert set().union(*OWN_KEYS.values()) <= {field.name for field in dataclasses.fields(DataConfig)}


def test_the_command_line_wins_over_a_recipe() -> None:
    assert composed("recipe=top", "model=resnet18").model.name == "resnet18"
    assert composed("recipe=top", "trainer.max_epochs=3").trainer.max_epochs == 3


def test_drop_of_what_is_not_there() -> None:
    with pytest.raises(UserError, match=r"drop=\[sk\]: trick 'sk' is not selected. Selected: mixup"):
        selected_tricks(composed("+tricks=[mixup]", "drop=[sk]"))
    with pytest.raises(UserError, match="unknown trick 'skk'"):
        selected_tricks(composed("+tricks=[mixup]", "drop=[skk]"))


def test_mistakes_found_while_composing() -> None:
    line = mistake("+tricks=[sk]", "tricks.sk.reducton=4")
    assert line.startswith("unknown parameter of trick sk 'reducton'. Did you mean 'reduction'? Available: reduction")
    assert mistake("+tricks=[sk]", "tricks.sk.reduction=abc") == "tricks.sk.reduction: 'abc' is not an integer"
    assert mistake("trainer.devices=x") == "trainer.devices: 'x' is not an integer"
    assert mistake("optim.lr=high") == "optim.lr: 'high' is not a number"
    assert mistake("optim.lr=null") == "optim.lr cannot be null: give it a value, or leave it out"
    assert mistake("data.mean=[1,null,2]") == "data.mean[1] cannot be null: give it a value, or leave it out"
    assert mistake("explain=maybe") == "explain: 'maybe' is not true or false"
    assert mistake("data.mean=[1,a,2]") == "data.mean[1]: 'a' is not a number"
    assert "expected one of [auto, imagenet, small]" in mistake("model.stem=big")
    assert mistake("drop=sk").startswith("drop: not a list")
    assert "'mlflow' is not selected" in mistake("logger.mlflow.experiment_name=x")


def test_mistakes_in_a_recipe_are_told_as_the_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    for content, line in (
        ({"trainer": {"max_epoch": 3}}, "recipe top: unknown key 'trainer.max_epoch'. Did you mean"),
        ({"optim": {"lr": "high"}}, "recipe top: optim.lr: 'high' is not a number"),
        ({"trainer": 4}, "recipe top: 4 stands where the keys of TrainerConfig belong"),
    ):
        monkeypatch.setitem(RECIPES, "top", content)
        assert mistake("recipe=top").startswith(line)


def test_missing_value_is_named() -> None:
    cfg = composed("data.root=???")
    with pytest.raises(Exception, match="root") as caught:
        OmegaConf.to_container(cfg, throw_on_missing=True)
    assert explanation(caught.value) == "data.root is not set: give it as data.root=..."


class TestOneLineErrors:
    """Exceptions to exit codes."""

    def leave(self, exception: BaseException) -> object:
        with pytest.raises(SystemExit) as caught, one_line_errors(), one_line_errors():
            raise exception
        return caught.value.code

    def test_user_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.leave(UserError("wrong:\n  mend it")) == 2
        assert capsys.readouterr().err == "error: wrong: mend it\n"

    def test_user_error_from_a_worker(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = (
            "Caught UserError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
            '  File "x.py", line 3, in f\ncore.errors.UserError: a.png cannot be read: remove it\n'
        )
        assert self.leave(UserError(text)) == 2
        assert capsys.readouterr().err == "error: a.png cannot be read: remove it\n"

    def test_user_error_as_cause_or_context(self, capsys: pytest.CaptureFixture[str]) -> None:
        wrapped = RuntimeError("wrapped")
        wrapped.__cause__ = UserError("the cause")
        assert self.leave(wrapped) == 2
        around = RuntimeError("while handling")
        around.__context__ = UserError("the context")
        assert self.leave(around) == 2
        assert capsys.readouterr().err == "error: the cause\nerror: the context\n"

    def test_disk(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.leave(PermissionError(13, "Permission denied", "/x/y")) == 2
        assert capsys.readouterr().err.startswith("error: /x/y: Permission denied")

    def test_what_hydra_raises_as_a_value_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert mistake("model=null") == "Config group override must be a string or a list. Got NoneType"
        assert self.leave(ValueError("a bug")) == 1
        assert capsys.readouterr().err.endswith("ValueError: a bug\n")

    def test_memory(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.leave(MemoryError()) == 2
        assert self.leave(torch.OutOfMemoryError("CUDA out of memory")) == 2
        assert capsys.readouterr().err.count("error: the memory is not enough: lower data.batch_size") == 2

    def test_a_fault_keeps_its_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.leave(ZeroDivisionError("a bug")) == 1
        error = capsys.readouterr().err
        assert error.startswith("Traceback")
        assert error.endswith("ZeroDivisionError: a bug\n")
        assert error.count("Traceback") == 1

    def test_interrupt(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Only a program that goes on says so."""
        assert self.leave(KeyboardInterrupt()) == 130
        with pytest.raises(SystemExit), one_line_errors(complaints.GOES_ON):
            raise KeyboardInterrupt
        said = capsys.readouterr().err
        assert said == "interrupted\ninterrupted: the same command goes on from the last checkpoint\n"

    def test_a_second_signal_is_not_told_again(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(INTERRUPTS, "received", 15)
        monkeypatch.setattr(INTERRUPTS, "told", False)
        assert self.leave(Stopped(15)) == self.leave(Stopped(15)) == 143
        assert capsys.readouterr().err == "interrupted\n"

    def test_an_interrupt_that_another_exception_hides(self, capsys: pytest.CaptureFixture[str]) -> None:
        hiding = AttributeError("of a clean-up")
        hiding.__context__, hiding.__suppress_context__ = KeyboardInterrupt(), True
        assert self.leave(hiding) == 130
        assert capsys.readouterr().err == "interrupted\n"

    def test_exits_pass(self) -> None:
        assert self.leave(SystemExit(7)) == 7

    def test_whoever_reads_has_left(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """As after ``| head``: the help of every program ends without a word, and what any other prints."""
        for main in (lambda: check_arguments(["--help"]), lambda: answer_help(["-h"], "usage"), lambda: print("table")):
            reading, writing = os.pipe()
            os.close(reading)
            with os.fdopen(writing, "w") as closed:
                monkeypatch.setattr(sys, "stdout", closed)
                with pytest.raises(SystemExit) as caught, one_line_errors():
                    main()
            assert caught.value.code == 141
        assert capfd.readouterr().err == ""

    def test_another_pipe_that_breaks_is_a_fault(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.leave(BrokenPipeError(32, "of a socket")) == 1
        assert "of a socket" in capfd.readouterr().err

    def test_traceback_on_request(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(complaints.FULL_ERROR, "1")
        monkeypatch.delenv(complaints.OURS, raising=False)
        raise_through_hydra()  # changes nothing about what the user asked for
        assert self.leave(UserError("wrong")) == 2
        assert "Traceback" in capsys.readouterr().err
        environment = dict(os.environ)
        as_the_user_had_it(environment)
        assert environment[complaints.FULL_ERROR] == "1"

    def test_hydras_variable_does_not_leak(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(complaints.FULL_ERROR, "0")
        monkeypatch.setenv(complaints.OURS, "")
        raise_through_hydra()
        assert self.leave(UserError("wrong")) == 2
        assert capsys.readouterr().err == "error: wrong\n"
        environment = dict(os.environ)
        as_the_user_had_it(environment)
        assert complaints.FULL_ERROR not in environment
        assert complaints.OURS not in environment


def test_more_names_than_a_line_holds_are_left_to_the_help() -> None:
    many = [f"row_{i:02}" for i in range(99)]
    assert suggest("recipe", "rov_07", many, group="recipe") == (
        "unknown recipe 'rov_07'. Did you mean 'row_07'? There are 99: python train.py --help recipe"
    )
    assert "row_00, row_01" in suggest("optimizer", "rov_07", many)  # of which --help says nothing
