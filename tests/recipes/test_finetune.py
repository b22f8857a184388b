"""The recipes for fine-tuning: the paper's values, and a step from the weights of the recipe that they start from."""

from __future__ import annotations

import gc
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from assemble.config.groups import recipe_names
from assemble.data.crops import eval_crop, eval_size
from assemble.data.decode import ImageFile
from assemble.data.torchvision_crops import random_crop_box
from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.models.weights import read_weights
from assemble.paths import RECIPES
from assemble.planning.plan import Plan, make_plan
from assemble.runs.build import build_module
from assemble.schema import Config, Library, Stem
from lit_modules.schedule import Schedule
from tests.helpers.composing import configured
from tests.helpers.fgvc_layouts import LAYOUTS, accept_other_flowers
from tests.helpers.loops import named
from tests.helpers.small_run import train
from tricks.base import Ramp
from tricks.random_erasing import Mode, draw_rectangle

FOOD = [f"food101_f{row}" for row in range(14)]
OTHERS = {
    "finetune_cars": (8144, 196),
    "finetune_flowers": (2040, 102),
    "finetune_aircraft": (6667, 100),
    "finetune_pets": (3680, 37),
}
"""Training images and classes (arXiv 2001.06268, Table 14)."""
NAMES = [*FOOD, "finetune_food101", *OTHERS]


@pytest.fixture(scope="module", autouse=True)
def no_garbage() -> Iterator[None]:
    """Looking for garbage takes longer than composing: the libraries have made a million objects."""
    gc.disable()
    yield
    gc.enable()


def starts_from(name: str) -> str:
    """The recipe of which the header says that it trains the weights to start from."""
    found = re.search(r"# Start: +model\.checkpoint of recipe=(\w+)\n", (RECIPES / f"{name}.yaml").read_text())
    assert found
    return found[1]


def test_all_of_them_are_here():
    assert set(NAMES) == {name for name in recipe_names() if name.startswith(("food101_", "finetune_"))}


ROWS = [  # arXiv 2001.06268, Table 8
    (set(), "assemble_e00", 86.99, 61.50),
    ({"resnet_d"}, "assemble_e01", 87.63, 62.12),
    ({"sk"}, "assemble_m2", 89.77, 57.20),
    ({"big_little"}, "assemble_m3", 90.15, 57.16),
    ({"anti_alias"}, "assemble_m4", 90.37, 56.66),
    ({"dropblock"}, "assemble_m4", 91.25, 53.13),
    ({"mixup"}, "assemble_m4", 91.64, 48.53),
    ({"autoaugment"}, "assemble_m4", 91.85, 41.73),
    ({"label_smoothing"}, "assemble_m4", 91.76, 41.40),
    (set(), "assemble_e11", 90.63, 53.98),
    ({"dropblock"}, "assemble_e11", 91.62, 51.01),
    ({"mixup"}, "assemble_e11", 92.11, 45.73),
    ({"autoaugment"}, "assemble_e11", 92.21, 41.69),
    ({"label_smoothing"}, "assemble_e11", 92.47, 41.99),
]
NETWORK = {"resnet_d", "sk", "big_little", "anti_alias"}


def test_the_rows_of_food101():
    tricks: set[str] = set()
    for row, (name, (added, start, top1, mce)) in enumerate(zip(FOOD, ROWS, strict=True)):
        tricks = (NETWORK if row == 9 else tricks) | added  # in F9 the regularisers begin anew
        cfg, found = configured(name)
        assert {trick.name for trick in found} == tricks, name
        assert starts_from(name) == start
        assert cfg.reported == {"top1": top1, "mce_unnormalised": mce}
    for row in range(9, 14):  # from other weights, else alike
        assert replace(configured(FOOD[row])[0], reported={}) == replace(configured(FOOD[row - 5])[0], reported={})
        assert configured(FOOD[row])[1] == configured(FOOD[row - 5])[1]


@pytest.mark.parametrize(
    ("name", "top1", "epochs"),
    [
        ("finetune_food101", 92.5, 100),
        ("finetune_cars", 94.4, 1000),
        ("finetune_flowers", 98.9, 1000),
        ("finetune_aircraft", 92.4, 800),
        ("finetune_pets", 94.3, 1300),
    ],
)
def test_the_other_data_sets(name, top1, epochs):
    """Tables 9 and 13; all as F13."""
    cfg, tricks = configured(name)
    food = configured("food101_f13")
    assert (cfg.reported, cfg.trainer.max_epochs) == ({"top1": top1}, epochs)
    assert (tricks, cfg.optim) == (food[1], food[0].optim)
    assert starts_from(name) == "assemble_e11"


def test_what_the_official_scripts_set():
    """scripts/finetuning_*_on_food101.sh; batch norm's momentum by the rule of the paper's authors."""
    for name in NAMES:
        with named(name):
            check_what_the_official_scripts_set(name)


def check_what_the_official_scripts_set(name: str) -> None:
    cfg, tricks = configured(name)
    optim, data, model = cfg.optim, cfg.data, cfg.model
    assert (optim.name, optim.lr, optim.momentum, optim.nesterov) == ("sgd", 0.01, 0.9, False)
    assert (optim.weight_decay, optim.decay_rule.value) == (1e-3, "official")
    assert (optim.schedule, optim.warmup_epochs, data.batch_size) == ("cosine", 5, 256)
    assert (data.preprocessing.value, data.image_size, data.scored_size, data.label_offset) == ("official", 224, 224, 0)
    assert (data.mean, data.std) == ([123.68, 116.78, 103.94], [1.0, 1.0, 1.0])
    assert (model.name, model.padding.value, model.new_head, model.restore_statistics) == (
        "resnet50", "tensorflow", True, False,
    )  # fmt: skip
    images, classes = OTHERS.get(name, (75750, 101))
    assert model.num_classes == classes
    assert model.bn_momentum == pytest.approx(1 - max(1 - 10 * 256 / images, 0.9), abs=5e-4)
    by_name = {trick.name: trick for trick in tricks}
    expected = {
        "dropblock": {"keep_prob": Ramp(0.9, 0.7), "block_size": 7, "stage_scales": (0.25, 1.0)},
        "mixup": {"alpha": 0.2, "images_per_target": 2},
        "autoaugment": {"policy": "good"},
        "label_smoothing": {"smoothing": 0.1},
    }
    for trick in by_name.keys() & expected.keys():
        for parameter, value in expected[trick].items():
            assert getattr(by_name[trick], parameter) == value, (trick, parameter)
    assert not by_name.keys() & {"zero_gamma", "distillation"}


def test_the_steps_of_food101():
    cfg = configured("food101_f13")[0]
    schedule = Schedule.of(cfg.optim, 75750 / 256, cfg.trainer.max_epochs)
    assert (schedule.warmup_steps, schedule.total_steps) == (1479, 29589)


# --- a step


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    for layout in LAYOUTS.values():
        layout(root)
    return root


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


def checkpoint(folder: Path, recipe: str) -> Path:
    """Narrow weights, unlike any fresh ones, of the network that a recipe trains on ImageNet."""
    file = folder / f"{recipe}.ckpt"
    if not file.is_file():
        cfg, tricks = configured(recipe)
        plan = make_plan(narrow(cfg), [t for t in tricks if t.name != "distillation"], need_data=False)
        torch.manual_seed(7)
        network = plan.recipe.spec.build()
        assert network.fc.out_features > 900  # type: ignore[union-attr]
        state = {
            name: value.clone().uniform_(0.5, 1.5) if value.is_floating_point() and value.ndim == 1 else value
            for name, value in network.state_dict().items()
        }
        torch.save({"state_dict": {f"model.{name}": value for name, value in state.items()}}, file)
    return file


def narrow(cfg: Config) -> Config:
    return replace(cfg, model=replace(cfg.model, width=4, stem=Stem.imagenet))


def planned(name: str, sets: Path, file: Path | None) -> Plan:
    cfg, tricks = configured(name)
    small = replace(
        narrow(cfg),
        data=replace(cfg.data, root=str(sets), image_size=64, batch_size=4, num_workers=0),
    )
    small.model.checkpoint = file and str(file)
    return make_plan(small, tricks)


@pytest.mark.parametrize("name", [*FOOD[:9], FOOD[13], *OTHERS])
def test_a_step_from_the_checkpoint_that_it_starts_from(name, sets, checkpoints, monkeypatch):
    accept_other_flowers(monkeypatch)
    file = checkpoint(checkpoints, starts_from(name))
    plan = planned(name, sets, file)
    module = build_module(plan)
    given = torch.load(file, weights_only=True)["state_dict"]
    for key, value in module.model.named_parameters():
        assert key.startswith("fc.") or torch.equal(value, given[f"model.{key}"]), key
    for key, value in module.model.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            assert torch.equal(value, torch.full_like(value, float(key.endswith("var")))), key
    assert plan.data
    images, labels, index = next(iter(plan.data.train_dataloader()))
    optimizer = module.configure_optimizers()["optimizer"]
    module.training_loss(*module.network_scale(images, labels), index, np.random.default_rng(0), 0.5).backward()
    before = module.model.fc.weight.clone()  # type: ignore[union-attr]
    for group in optimizer.param_groups:  # the first step of a warm-up has none
        group["lr"] = 1e-3
    optimizer.step()
    assert all(p.isfinite().all() for p in module.model.parameters())
    assert not torch.equal(module.model.fc.weight, before)  # type: ignore[union-attr,arg-type]


def test_the_checkpoint_is_for_the_user_to_name(sets, tmp_path):
    with pytest.raises(UserError, match=r"weights that training starts from: name them with model\.checkpoint=FILE"):
        planned("food101_f0", sets, None)
    with pytest.raises(UserError, match=r"model\.checkpoint: there is no weights file .*nowhere\.ckpt"):
        planned("food101_f0", sets, tmp_path / "nowhere.ckpt")
    torch.save(spec_of("resnet50", width=4).build().state_dict(), tmp_path / "plain.pt")
    with pytest.raises(UserError, match=r"is of another model"):  # of a network without Selective Kernel
        build_module(planned("food101_f2", sets, tmp_path / "plain.pt"))


# --- ImageNet-21k, then ImageNet

SIZES = {"s": (384, 84.9), "m": (480, 86.2), "l": (480, 86.9), "xl": (512, 87.2)}
"""Pixels (effnetv2_configs.py of google/automl, eval_size) and top-1 % (its README)."""


@pytest.mark.parametrize("size", SIZES)
def test_the_official_values_of_21k(size):
    """ImageNet21k and ImagenetFt of datasets.py over hparams.py; rates are for each 256 images."""
    cfg, tricks = configured(f"efficientnetv2_{size}_21k")
    assert (cfg.model.name, cfg.data.name) == (f"efficientnetv2_{size}", "imagenet21k")
    assert (cfg.data.image_size, cfg.data.scored_size, cfg.data.batch_size) == (224, 224, 4096)
    assert (cfg.trainer.max_epochs, cfg.optim.warmup_epochs, cfg.optim.schedule) == (60, 1, "cosine")
    assert cfg.optim.lr == pytest.approx(0.008 * 4096 / 256)
    assert cfg.model.bn_momentum == pytest.approx(1 - 0.9)
    assert eval_size(cfg.data) == (224, 224 + 32)  # preprocess_for_eval crops up to 320 pixels
    assert [(trick.name, getattr(trick, "decay", None)) for trick in tricks] == [("ema", 0.9999)]

    cfg, tricks = configured(f"efficientnetv2_{size}_21k_finetune")
    assert starts_from(f"efficientnetv2_{size}_21k_finetune") == f"efficientnetv2_{size}_21k"
    assert (cfg.model.name, cfg.data.name, cfg.model.new_head) == (f"efficientnetv2_{size}", "imagenet", True)
    assert (cfg.data.image_size, cfg.reported) == (SIZES[size][0], {"top1": SIZES[size][1]})
    assert (cfg.data.scored_size, cfg.data.batch_size) == (cfg.data.image_size, 512)
    assert cfg.model.bn_momentum == pytest.approx(1 - 0.9)
    assert (cfg.trainer.max_epochs, cfg.optim.warmup_epochs, cfg.optim.name) == (15, 1, "rmsproptf")
    assert cfg.optim.lr == pytest.approx(0.0005 * 512 / 256)
    by_name: dict[str, Any] = {trick.name: trick for trick in tricks}
    assert by_name.keys() == {"ema", "label_smoothing", "random_erasing", "stochastic_depth"}
    assert (by_name["ema"].decay, by_name["label_smoothing"].smoothing) == (0.9996, 0.1)
    assert by_name["stochastic_depth"].rate == pytest.approx(1 - 0.8)
    erasing, side = by_name["random_erasing"], cfg.data.image_size
    assert (erasing.probability, erasing.mode) == (1, Mode.pixel)
    top, bottom, left, right = draw_rectangle(side, side, erasing.area, erasing.aspect, np.random.default_rng(0)) or ()
    assert (bottom - top, right - left) == (2 * (side // 4), 2 * (side // 4))  # Cutout's pad_size is side // 4


@pytest.mark.parametrize(("width", "height"), [(500, 375), (333, 500), (64, 64), (3000, 100)])
def test_images_are_squeezed_whole(width, height):
    data = configured("efficientnetv2_s_21k_finetune")[0].data
    rng = np.random.default_rng(0)
    for _ in range(100):
        left, top, w, h = random_crop_box(width, height, data.crop_scale, data.crop_ratio, rng)
        assert w >= 0.98 * width, (left, top, w, h)
        assert h >= 0.98 * height, (left, top, w, h)


@pytest.mark.parametrize("name", [f"efficientnetv2_{s}_21k_finetune" for s in SIZES] + ["efficientnetv2_s_official"])
def test_scored_images_are_squeezed_whole(name):
    """preprocess_for_finetune, and preprocess_for_eval from 320 pixels on: both resize without a crop."""
    data = configured(name)[0].data
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8))
    file = io.BytesIO()
    image.save(file, "PNG")
    expected = np.asarray(image.resize((data.scored_size, data.scored_size), Image.Resampling.BILINEAR))
    assert np.array_equal(eval_crop(data)(ImageFile(file.getvalue())), expected)


def small_plan(name: str, classes: int, folder: Path, file: str | None = None) -> Plan:
    """A recipe with a small network of the same kind, on noise."""
    rng, root = np.random.default_rng(0), folder / f"of{classes}"
    for split in ("train", "val"):
        for label in map(str, range(classes)):
            (root / split / label).mkdir(parents=True, exist_ok=True)
            for i in range(4):
                noise = rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)
                Image.fromarray(noise).save(root / split / label / f"{i}.png")
    cfg, tricks = configured(name)
    library = "imagefolder" if cfg.data.name == "imagenet" else cfg.data.name  # which has 1,000 classes
    small = replace(
        cfg,
        model=replace(cfg.model, name="test_efficientnet", library=Library.timm, checkpoint=file),
        data=replace(cfg.data, name=library, root=str(root), image_size=32, batch_size=4, num_workers=0),
        trainer=replace(cfg.trainer, max_epochs=2, accelerator="cpu"),
    )
    return make_plan(small, tricks)


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)
def test_fine_tuning_goes_on_from_the_average_of_pre_training(tmp_path):
    """The two recipes, one after the other: the second begins with the first's average, but for the classifier."""
    _, first = train(small_plan("efficientnetv2_s_21k", 5, tmp_path), tmp_path / "run")
    last = tmp_path / "run" / "last.ckpt"
    average, raw = read_weights(last, averaged=True), read_weights(last, averaged=False)
    assert not torch.equal(average["conv_stem.weight"], raw["conv_stem.weight"])
    plan = small_plan("efficientnetv2_s_21k_finetune", 3, tmp_path, str(last))
    begun = build_module(plan).model.state_dict()
    assert (first.model.classifier.out_features, plan.num_classes) == (5, 3)  # type: ignore[union-attr]
    for key, value in begun.items():  # batch norm's statistics too
        assert key.startswith("classifier.") or torch.equal(value, average[key]), key
    _, second = train(plan)
    assert all(weight.isfinite().all() for weight in second.model.parameters())
    assert not torch.equal(second.model.state_dict()["conv_stem.weight"], begun["conv_stem.weight"])


def test_fine_tuning_without_pre_training_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"weights that training starts from: name them with model\.checkpoint=FILE"):
        small_plan("efficientnetv2_s_21k_finetune", 3, tmp_path)
    with pytest.raises(UserError, match=r"model\.checkpoint: there is no weights file .*last\.ckpt"):
        small_plan("efficientnetv2_s_21k_finetune", 3, tmp_path, str(tmp_path / "last.ckpt"))
