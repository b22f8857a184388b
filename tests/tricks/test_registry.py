"""Every trick of the registry: documented, typed, effective, trainable, reloadable, and gone when it is off."""

import ast
import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from pytorch_lightning import LightningDataModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

import tricks
from assemble import create_model
from assemble.config.register import register
from assemble.data.splits import augmented
from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.planning.plan import make_plan
from assemble.planning.resolve import resolve
from assemble.schema import DataConfig, OptimConfig
from lit_modules.classifier import Classifier
from lit_modules.optim import build_optimizer
from lit_modules.schedule import Schedule
from lit_modules.turns import turn
from tests.helpers import teachers
from tests.helpers.loops import named
from tests.helpers.small_run import small_config, small_plan, train
from tricks import create, load, trick_names
from tricks.base import TRICKS, BatchTrick, CallbackTrick, DataTrick, LossTrick, ModelTrick, OptimTrick, hooks_of

load()
ROOT = Path(__file__).resolve().parents[2]
NAMES = list(trick_names())
MODEL_TRICKS = [name for name in NAMES if issubclass(TRICKS[name], ModelTrick)]

# trick -> parameter -> another value (and, where one network cannot show it, the parameters beside it)
OTHER: dict[str, dict[str, object]] = {
    "agc": {"clip_factor": 0.1, "eps": 0.1},
    "anti_alias": {"filter_size": 5, "positions": ["conv", "projection"], "form": "before"},
    "augmix": {"severity": 5.0, "width": 1, "depth": 1, "alpha": 0.3, "all_ops": True, "jsd": 6.0},
    "autoaugment": {"policy": "good", "strengths": "paper"},
    "bce": {"reduction": "sum", "threshold": 0.2},
    "big_little": {"alpha": 4, "beta": 1},
    "color_jitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "pca_noise": 0.5},
    "colout": {"p_row": 0.3, "p_col": 0.3},
    "compound_scaling": {"phi": 2.0, "alpha": 2.0, "beta": 2.0, "gamma": 2.0, "divisor": 1},
    "cutmix": {"alpha": 0.1, "kind": "type1", "share": 0.1},
    "distillation": {
        "teacher": "teacher.ckpt",
        "cache": "logits",
        "temperature": 2.0,
        "weight": 0.5,
        "label_weight": 0.5,
        "form": "kl",
        "size": 24,
        "sees_mixed": True,
    },
    "dropblock": {"block_size": 3, "keep_prob": 0.5, "stage_scales": [1.0, 0.25]},
    "dropout": {"rate": 0.6},
    "ema": {"decay": 0.1, "warmup": False, "every": 2, "validate": "raw"},
    "label_smoothing": {"smoothing": 0.3},
    "lookahead": {"every": 3, "decay": 0.3, "power": 1.0},
    "mixup": {"alpha": 1.0, "kind": "permutation", "share": 0.1},
    "random_blur": {"probability": 1.0, "sigma": [3.0, 4.0], "kernel": 3},
    "norm_bias_lr": {"scale": 2.0},
    "precise_bn": {"batches": 1},
    "progressive": {"scale": 0.75, "multiple_of": 4},
    "randaugment": {
        "num_ops": 3,
        "magnitude": 9.0,
        "magnitude_std": 0.0,
        "probability": 1.0,
        "space": "torchvision",
    },
    "no_bias_decay": {},
    "random_erasing": {"probability": 1.0, "area": [0.1, 0.2], "aspect": [1.0, 1.0], "mode": "pixel"},
    "random_grey": {"probability": 1.0},
    "repeated_augmentation": {"num_repeats": 4},
    "resnet_d": {"pool_stage1": False, "shortcut": False},
    "sam": {"rho": 0.5, "every": 2},
    "se": {"reduction": 4},
    "sk": {"reduction": 4, "min_attention": 64, "form": "two_convs"},
    "stochastic_depth": {"rate": 0.5},
    "swa": {"start": 0.5, "lr": 0.1, "low": 0.1, "every": 2},
    "trivialaugment": {"interpolation": "bilinear"},
    "whitening": {"images": 20, "eps": 0.1, "bias_epochs": 0},
}
ROWS = [(trick, parameter, value) for trick, row in OTHER.items() for parameter, value in row.items()]
BESIDE = {
    ("sk", "reduction"): {"min_attention": 1},
    ("distillation", "cache"): {"teacher": "teacher.ckpt"},
    ("distillation", "size"): {"teacher": "teacher.ckpt"},
}
"""Parameters that both sides of a comparison need (32 channels of attention at least hide r in a narrow network)."""


def build(tricks, **fields) -> nn.Module:
    torch.manual_seed(0)
    return create_model("resnet50", tricks, num_classes=5, width=8, **fields)


def images(n=4) -> torch.Tensor:
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def fill(model: nn.Module) -> nn.Module:
    """Gammas away from zero, so that a branch cannot hide behind zero gamma."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
    return model


@pytest.fixture(scope="module", autouse=True)
def folder_with_a_teacher(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("teacher"))
        teachers.checkpoint(Path("teacher.ckpt"))
        yield


def brought_along(trick: LossTrick) -> list[torch.Tensor]:
    """What its companion says of four images, or why there is none."""
    try:
        companion = trick.companion(make_plan(teachers.small(), [trick]))
    except UserError as error:
        return [torch.tensor(list(str(error).encode()))]
    return [companion(images()[..., :16, :16], torch.arange(4))] if companion else []


def fingerprint(name: str, parameters: dict) -> list[torch.Tensor]:
    """All that a trick decides, as numbers."""
    (trick,) = create({name: parameters})
    numbers: list[torch.Tensor] = []
    if isinstance(trick, ModelTrick):
        model = build({name: parameters})
        state = model.state_dict()
        numbers += [torch.tensor(list(map(len, state))), *(state[key] for key in sorted(state))]
        for training in (False, True):
            torch.manual_seed(2)
            with torch.no_grad():
                numbers.append(model.train(training)(images()))
    if isinstance(trick, BatchTrick):
        numbers += trick.mix(images(), torch.eye(4, 5), np.random.default_rng(3))
        numbers.append(torch.tensor([turn([trick], np.random.default_rng(i)) is None for i in range(8)]))
    if isinstance(trick, LossTrick):
        logits, companion = images().flatten(2)[..., :5].transpose(0, 1), torch.full((4, 5), 0.2)
        term = trick.term(logits, companion)
        numbers += [trick.targets(torch.eye(4, 5)), torch.tensor([trick.label_weight, trick.sees_mixed])]
        numbers += [*([] if term is None else [term]), *brought_along(trick)]
        if "loss" in hooks_of(trick):
            numbers.append(trick.loss(logits[0], torch.eye(4, 5) * 0.7 + 0.06))
    if isinstance(trick, DataTrick):
        trick = trick.at(0.5)
        rng = np.random.default_rng(3)
        image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        numbers += [
            torch.from_numpy(np.asarray(augmented(image, [trick], np.random.default_rng([4, i])))) for i in range(16)
        ]
        numbers += [trick.on_device(images(), rng), torch.tensor([trick.size(32), trick.repeats, trick.views])]
        numbers.append(torch.tensor(trick.data_settings(DataConfig()).image_size))
    if isinstance(trick, OptimTrick):
        numbers += few_steps(trick)
    if name == "whitening":
        numbers += whitened_run(parameters)
    elif isinstance(trick, CallbackTrick):
        numbers += tiny_run(trick)
    return numbers


def few_steps(trick: OptimTrick) -> list[torch.Tensor]:
    """Weights after three steps by the trick's settings and around its optimizer."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.BatchNorm1d(4), nn.Linear(4, 5))
    optimizer = trick.wrap(build_optimizer(network, trick.settings(OptimConfig(weight_decay=0.1))), network)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images()[..., :4, :4]), torch.arange(4))
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    return [p.detach() for p in network.parameters()]


class TinyData(LightningDataModule):
    """Two batches of four images."""

    def train_dataloader(self) -> DataLoader:
        small = (100 * images(8)[..., :4, :4].abs()).to(torch.uint8)
        items = list(zip(small, torch.arange(8) % 5, torch.arange(8), strict=True))
        return DataLoader(items, batch_size=4, sampler=DistributedSampler(items, 1, 0))  # type: ignore[arg-type]


def tiny_run(trick: CallbackTrick) -> list[torch.Tensor]:
    """What a network of a run of eight epochs has at its end."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.BatchNorm1d(4), nn.Linear(4, 5))
    module = Classifier(network, num_classes=5, optim=OptimConfig(), schedule=Schedule("constant", 2, 8))
    Trainer(
        accelerator="cpu",
        max_epochs=8,
        callbacks=list(trick.callbacks()),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, TinyData())
    return list(network.state_dict().values())


def whitened_run(parameters: dict) -> list[torch.Tensor]:
    """The first layer that the trick is for, at the end of a short run."""
    cfg = small_config(epochs=1)
    cfg.model.name, cfg.model._target_ = "speednet", "assemble.models.speednet.SpeedNet"
    cfg.model.width, cfg.model.args, cfg.data.image_size = None, {"widths": [8, 8, 8]}, 32
    _, module = train(small_plan({"whitening": parameters}, cfg))
    return list(module.model.first.state_dict().values())  # type: ignore[union-attr,operator]


def equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(x.shape == y.shape and torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- what a trick's file says


@pytest.mark.parametrize("name", NAMES)
def test_the_file_cites_its_paper(name):
    text = ast.get_docstring(ast.parse((ROOT / "tricks" / f"{name}.py").read_text())) or ""
    paper = re.search(r"^Paper: .*?(?=^Changes:|\Z)", text, re.M | re.S)
    assert paper, "no Paper: section"
    source = r"^Paper: none; .*github\.com/\w+/\w+" if "none" in paper[0] else r"arXiv \d{4}\.\d{4,5}"
    assert re.search(source, paper[0]), "no arXiv number, nor the repository of what has no paper"
    assert re.search(r"^Changes: ", text, re.M), "no Changes: section"
    assert re.search(r"^Differs: ", text, re.M), "no Differs: section"
    assert text.partition("\n")[0].endswith("."), "the first line is the one shown by --help"


def test_registered_under_the_file_name():
    for _ in range(2):  # once more does no harm
        register()
    for name in NAMES:
        with named(name):
            cls = TRICKS[name]
            assert cls.name == name
            assert cls.__module__ == f"tricks.{name}"
            assert dataclasses.is_dataclass(cls)
            assert cls.__dataclass_params__.frozen
            node = ConfigStore.instance().load(f"tricks/{name}.yaml")
            assert (node.group, node.package) == ("tricks", f"tricks.{name}")
            assert OmegaConf.to_object(node.node) == cls()


def test_nothing_else_is_registered():
    assert sorted(TRICKS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_documented(name):
    """A string below each field of the dataclass says what it is."""
    tree = ast.parse((ROOT / "tricks" / f"{name}.py").read_text())
    (cls,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == TRICKS[name].__name__]
    for field in dataclasses.fields(TRICKS[name]):
        (i,) = [i for i, n in enumerate(cls.body) if isinstance(n, ast.AnnAssign) and n.target.id == field.name]
        below = cls.body[i + 1]
        assert isinstance(below, ast.Expr), field.name
        assert isinstance(ast.literal_eval(below.value), str), field.name


# --- every parameter reaches its place


def test_the_table_has_a_row_for_every_parameter():
    fields = {(name, field.name) for name in NAMES for field in dataclasses.fields(TRICKS[name])}
    assert {(trick, parameter) for trick, parameter, _ in ROWS} == fields


DEFAULTS: dict[str, list[torch.Tensor]] = {}


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*val_dataloader")
@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
@pytest.mark.parametrize(("name", "parameter", "value"), ROWS)
def test_every_parameter_changes_something(name, parameter, value):
    beside = BESIDE.get((name, parameter), {})
    if name == "dropblock" and parameter != "keep_prob":
        beside = {"keep_prob": 0.8}  # at the default of 1 the first step drops nothing yet
    key = f"{name} {beside}"
    if key not in DEFAULTS:
        DEFAULTS[key] = fingerprint(name, beside)
        assert equal(DEFAULTS[key], fingerprint(name, beside)), "the comparison is not deterministic"
    assert not equal(DEFAULTS[key], fingerprint(name, {**beside, parameter: value}))


# --- model tricks in a network


@pytest.mark.parametrize("name", MODEL_TRICKS)
def test_changes_the_forward_pass(name):
    """In training mode, with the same weights where both networks have them: other logits than the plain network."""
    parameters = {"keep_prob": 0.8} if name == "dropblock" else {}
    plain, tricked = fill(build({})), fill(build({name: parameters}))
    torch.manual_seed(2)
    expected = plain(images())
    torch.manual_seed(2)
    if name == "zero_gamma":  # it changes the initial state alone
        assert not equal(list(build({}).parameters()), list(build({name: {}}).parameters()))
        return
    assert not torch.allclose(tricked(images()), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("base", ["resnet50", "resnet20"])
@pytest.mark.parametrize("name", MODEL_TRICKS)
def test_trains_a_step_and_reloads(name, base):
    torch.manual_seed(0)
    make = {"name": base, "tricks": [name], "num_classes": 5, "width": 8}
    model = create_model(**make)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in range(2):  # behind a gamma of zero the gradient comes with the second step
        loss = F.cross_entropy(model(images()), torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        assert loss.isfinite(), step
        optimizer.step()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    still = [k for k, p in model.named_parameters() if not p.grad.any()]
    assert len(still) <= 0.1 * len(list(model.parameters())), still
    assert not equal(list(before.values()), list(model.state_dict().values()))
    again = create_model(**make)
    again.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(model.eval()(images()), again.eval()(images()))


@pytest.mark.parametrize("name", ["resnet50", "resnet20", "plain20"])
def test_with_every_trick_off_the_network_is_the_plain_one(name):
    """create_model, resolve without tricks and the bare spec: one network, bit by bit."""
    models = []
    for make in (
        lambda: create_model(name, num_classes=5, width=8),
        lambda: create_model(name, {}, num_classes=5, width=8),
        lambda: resolve([], spec_of(name, num_classes=5, width=8)).spec.build(),
        lambda: spec_of(name, num_classes=5, width=8).build(),
    ):
        torch.manual_seed(7)
        models.append(make().eval())
    for other in models[1:]:
        assert other.state_dict().keys() == models[0].state_dict().keys()
        assert equal(list(models[0].state_dict().values()), list(other.state_dict().values()))
        assert torch.equal(models[0](images()), other(images()))


@pytest.mark.parametrize("name", MODEL_TRICKS)
def test_building_with_a_trick_leaves_no_trace(name):
    """A plain network built after a tricked one is the plain one, and the base spec is untouched."""
    base = spec_of("resnet50", num_classes=5, width=8)
    expected = build({})
    spec = spec_of("resnet50", num_classes=5, width=8)
    recipe = resolve(create([name]), base)
    recipe.spec.build()
    assert base == spec
    assert recipe.base is base
    assert recipe.spec != base
    assert equal(list(expected.state_dict().values()), list(build({}).state_dict().values()))


@pytest.mark.parametrize("name", NAMES)
def test_kinds_are_of_the_base_module(name):
    kinds = (ModelTrick, DataTrick, BatchTrick, LossTrick, OptimTrick, CallbackTrick)
    assert issubclass(TRICKS[name], kinds)


# --- mistakes


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_parameter_names_the_trick(name):
    with pytest.raises(UserError, match=f"unknown parameter of trick {name} 'nonsense'"):
        create({name: {"nonsense": 1}})


def test_a_misspelt_trick_gets_a_suggestion():
    with pytest.raises(UserError, match=r"unknown trick 'mixp'. Did you mean 'mixup'"):
        create(["mixp"])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("anti_alias", {"filter_size": 9}),
        ("anti_alias", {"positions": []}),
        ("anti_alias", {"positions": ["stem"]}),
        ("augmix", {"severity": {"from": 0.0, "to": 3.0}}),
        ("augmix", {"severity": 11.0}),
        ("augmix", {"width": 0}),
        ("augmix", {"depth": 0}),
        ("augmix", {"alpha": 0.0}),
        ("augmix", {"jsd": -1.0}),
        ("autoaugment", {"policy": "cifar"}),
        ("big_little", {"alpha": 0}),
        ("big_little", {"beta": 0}),
        ("compound_scaling", {"phi": 0.0}),
        ("compound_scaling", {"phi": float("inf")}),
        ("compound_scaling", {"phi": 1e9}),
        ("compound_scaling", {"alpha": 0.9}),
        ("compound_scaling", {"beta": float("nan")}),
        ("compound_scaling", {"gamma": 0.0}),
        ("compound_scaling", {"divisor": 0}),
        ("compound_scaling", {"alpha": 1.0, "beta": 1.0, "gamma": 1.0}),
        ("cutmix", {"alpha": 0.0}),
        ("dropblock", {"block_size": 0}),
        ("dropblock", {"keep_prob": 0.0}),
        ("dropblock", {"keep_prob": {"from": 1.0, "to": 1.5}}),
        ("dropblock", {"keep_prob": 1.0}),
        ("dropblock", {"stage_scales": [0.0, 0.0]}),
        ("label_smoothing", {"smoothing": 0.0}),
        ("label_smoothing", {"smoothing": 1.0}),
        ("mixup", {"alpha": -1.0}),
        ("progressive", {"scale": 1.0}),
        ("progressive", {"scale": {"from": 0.0, "to": 1.0}}),
        ("progressive", {"scale": {"from": 0.5, "to": 1.1}}),
        ("progressive", {"multiple_of": 0}),
        ("randaugment", {"magnitude": 11.0}),
        ("random_erasing", {"probability": 0.0}),
        ("random_erasing", {"probability": 1.5}),
        ("random_erasing", {"area": [0.3, 0.1]}),
        ("random_erasing", {"area": [0.0, 0.1]}),
        ("random_erasing", {"aspect": [0.0, 1.0]}),
        ("repeated_augmentation", {"num_repeats": 1}),
        ("se", {"reduction": 0}),
        ("sk", {"reduction": 0}),
        ("sk", {"min_attention": 0}),
        ("stochastic_depth", {"rate": 0.0}),
        ("stochastic_depth", {"rate": 1.0}),
    ],
)
def test_ill_values_are_user_errors_that_name_the_trick(name, parameters):
    with pytest.raises(UserError, match=name):
        create({name: parameters})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mixup", {"kind": "type3"}),
        ("random_erasing", {"mode": "noise"}),
        ("dropblock", {"stage_scales": [-1.0, 1.0]}),
        ("sk", {"reduction": "four"}),
        ("cutmix", {"alpha": float("nan")}),
        ("mixup", {"alpha": float("inf")}),
    ],
)
def test_values_of_another_kind_are_user_errors_too(name, parameters):
    """create_model is called from Python, where Hydra does not check the types."""
    with pytest.raises(UserError, match=name):
        create({name: parameters})


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""A trick."""\n', r"tricks/broken\.py registers no trick: put @register above its dataclass"),
        ("def (:\n", r"tricks/broken\.py cannot be imported \(SyntaxError: .*line 1.*mend it"),
        ("import nosuch_package\n", r"tricks/broken\.py cannot be imported \(ModuleNotFoundError: .*nosuch_package"),
    ],
)
def test_a_broken_file_is_named(source, line, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(source)
    monkeypatch.setattr(tricks, "__path__", [str(tmp_path)])
    monkeypatch.setattr(tricks, "trick_names", lambda: {"broken": ""})
    for ask in (tricks.load, lambda: create(["broken"])):
        sys.modules.pop("tricks.broken", None)
        with pytest.raises(UserError, match=line):
            ask()
    sys.modules.pop("tricks.broken", None)
