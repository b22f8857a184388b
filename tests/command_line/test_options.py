"""Arguments of the programs beside train.py."""

from dataclasses import dataclass, field
from enum import Enum

import pytest

from assemble.command_line.options import check_network, read_options
from assemble.complaints import explanation
from assemble.config.compose import combinations, compose
from assemble.errors import UserError


class Kind(Enum):
    one = "one"
    two = "two"


@dataclass
class Options:
    source: str
    size: int | None = None
    kinds: list[Kind] = field(default_factory=lambda: [Kind.one])
    deep: bool = False


def test_own_options_are_typed_and_the_others_handed_on():
    argv = [
        "source=a/b",
        "size=8",
        "kinds=[two,one]",
        "deep=true",
        "recipe=x",
        "+tricks=[sk]",
        "model.width=4",
        "timm:a",
    ]
    options, rest = read_options(Options, argv, "", network=True, names=True)
    assert options == Options("a/b", 8, [Kind.two, Kind.one], True)
    assert rest == argv[4:]
    assert read_options(Options, ["source=1", "size=null"], "")[0] == Options("1")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["sorce=a"], "unknown option 'sorce'. Did you mean 'source'?"),
        (["source=a", "recpe=b"], "Did you mean 'recipe'?"),
        ([], "source is not set: give it as source=..."),
        (["source=a", "size=b"], "size: 'b' is not an integer"),
        (["source=a", "deep=b"], "deep: 'b' is not true or false"),
        (["source=a", "kinds=[three]"], "expected one of [one, two]"),
        (["source=a=b"], "quote a value with special characters: 'source=\"a=b\"'"),
        (["source=a", "source=b"], "source=b: source is given twice"),
        (["source=a,b"], "For one value with a comma in it write 'source=\"a,b\"'"),
        (["source=a", "kinds=one,two"], "Write kinds=[..]"),
        (["source="], "source= is empty"),
        (["source=a", "kinds=null"], "kinds cannot be null: give it a value, or leave it out"),
        (["source=a", "deep=null"], "deep cannot be null"),
    ],
)
def test_mistakes(argv, message):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - OmegaConf's have no base that says more
        read_options(Options, argv, "", network=True, names=True)
    assert message in (explanation(caught.value) or "")


def test_a_program_without_networks_takes_no_arguments_of_train():
    with pytest.raises(UserError, match="unknown option 'recipe'"):
        read_options(Options, ["source=a", "recipe=b"], "")


def test_a_list_takes_one_value_without_brackets():
    assert read_options(Options, ["source=a", "kinds=two"], "")[0].kinds == [Kind.two]


def test_what_were_flags_are_keys():
    argv = ["x", "--source", 'a "b", c', "--deep", "--kinds", "one", "--kinds=two,one"]
    options, rest = read_options(Options, argv, "", names=True, flags=True)
    assert options == Options('a "b", c', None, [Kind.one, Kind.two, Kind.one], True)
    assert rest == ["x"]
    with pytest.raises(UserError, match="unknown option '--source'"):
        read_options(Options, argv, "", names=True)


def test_help(capsys):
    with pytest.raises(SystemExit) as left:
        read_options(Options, ["--help"], "\nHow to use it\n")
    assert left.value.code == 0
    assert capsys.readouterr().out == "How to use it\n"


def test_imagenet_where_no_data_is_chosen():
    assert check_network(["model=tiny"]) == ["data=imagenet", "model=tiny"]
    assert check_network(["model=tiny", "data=digits"]) == ["model=tiny", "data=digits"]
    assert check_network(["recipe=assemble_e00"]) == ["recipe=assemble_e00"]
    with pytest.raises(UserError, match="unknown recipe"):
        check_network(["recipe=assemble"])
    with pytest.raises(UserError, match="sweep"):
        check_network(["model=tiny,resnet18"])
    check_network(["model=tiny,resnet18"], sweep=True)


def test_combinations():
    assert combinations(["model=a,b", "+tricks=[],[sk,se]", "seed=1"]) == [
        ["model=a", "+tricks=[]", "seed=1"],
        ["model=a", "+tricks=[sk,se]", "seed=1"],
        ["model=b", "+tricks=[]", "seed=1"],
        ["model=b", "+tricks=[sk,se]", "seed=1"],
    ]
    assert combinations(["recipe=glob(assemble_e1*)"])[:2] == [["recipe=assemble_e10"], ["recipe=assemble_e11"]]


def test_compose_is_what_train_would_run():
    cfg = compose(["recipe=assemble_e06", "drop=[mixup]", "tricks.sk.reduction=4"])
    assert (cfg.model.name, cfg.model.num_classes, cfg.tricks.sk.reduction) == ("resnet50", 1001, 4)
    assert list(cfg.drop) == ["mixup"]
