"""What the options of the trainer and the model make of the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from assemble.errors import UserError
from assemble.planning.plan import make_plan
from assemble.runs.build import build_module, build_trainer, loss_scaling
from assemble.runs.directory import Run
from assemble.runs.fit import fit
from assemble.schema import Config, Init, Padding
from lit_modules.loss_scale import StaticLossScale


def config() -> Config:
    cfg = Config()
    cfg.data.image_size = 16
    return cfg


def network(cfg: Config) -> nn.Module:
    return build_module(make_plan(cfg, [])).model


def norms(model: nn.Module) -> set[type]:
    return {type(m) for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)}


def test_sync_batchnorm_over_several_devices_only() -> None:
    cfg = config()
    cfg.trainer.sync_batchnorm = True
    assert norms(network(cfg)) == {nn.BatchNorm2d}
    cfg.trainer.devices = 2
    converted = network(cfg)
    assert norms(converted) == {nn.SyncBatchNorm}
    assert converted.state_dict().keys() == network(config()).state_dict().keys()


def test_sync_batchnorm_wants_gpus(tmp_path: Path) -> None:
    cfg = config()
    cfg.trainer.sync_batchnorm, cfg.trainer.devices, cfg.trainer.accelerator = True, 2, "cpu"
    with pytest.raises(UserError, match=r"trainer\.sync_batchnorm=true needs GPUs"):
        fit(make_plan(cfg, []), Run(tmp_path, "a-run", "12345678", None, {"logger": {}}))


@pytest.mark.parametrize("given", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("wanted", [True, False])
def test_the_images_have_the_networks_memory_format(wanted: bool, given: torch.memory_format) -> None:
    cfg = config()
    cfg.trainer.channels_last = wanted
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    ready = build_module(make_plan(cfg, [])).normalise(images.to(memory_format=given))
    assert ready.is_contiguous(memory_format=torch.channels_last) is wanted
    assert ready.is_contiguous() is not wanted


@pytest.mark.parametrize("wanted", [True, False])
def test_channels_last(wanted: bool) -> None:
    cfg = config()
    cfg.trainer.channels_last = wanted
    weight = next(m for m in network(cfg).modules() if isinstance(m, nn.Conv2d) and m.in_channels > 3).weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is wanted


def test_the_model_options_reach_the_network() -> None:
    cfg = config()
    cfg.model.bn_momentum, cfg.model.bn_eps, cfg.model.width = 0.003, 1e-3, 4
    cfg.model.padding, cfg.model.init, cfg.model.num_classes = Padding.tensorflow, Init.torchvision, 12
    model = network(cfg)
    settings = {(m.momentum, m.eps) for m in model.modules() if isinstance(m, nn.BatchNorm2d)}
    assert settings == {(0.003, 1e-3)}
    assert "tf_padding" in model.state_dict()
    assert model.get_submodule("fc").get_parameter("weight").shape == (12, 16)
    same = config()
    same.model.width = 4
    first = network(same).state_dict()["conv1.weight"]
    assert not torch.equal(first, model.state_dict()["conv1.weight"])  # drawn by another rule


def test_the_seed_decides_the_weights_and_0_is_a_seed() -> None:
    def first(seed: int) -> torch.Tensor:
        cfg = config()
        cfg.seed = seed
        return network(cfg).state_dict()["conv1.weight"]

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


def test_starting_from_a_checkpoint(tmp_path: Path) -> None:
    cfg = config()
    cfg.seed = 1
    trained = network(cfg)
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    cfg.seed, cfg.model.checkpoint = 2, str(tmp_path / "weights.pt")
    for name, value in network(cfg).state_dict().items():
        assert torch.equal(value, trained.state_dict()[name])


@pytest.mark.parametrize(("key", "value"), [("precision", "8"), ("accelerator", "abacus"), ("strategy", "hope")])
def test_what_the_machine_has_not(key: str, value: str) -> None:
    cfg = config().trainer
    setattr(cfg, key, value)
    with pytest.raises(UserError, match=f"trainer.{key}={value}"):
        build_trainer(cfg, logger=False)


@pytest.mark.filterwarnings("ignore:.*fp16 is not supported on CPU")
def test_float16_is_not_silently_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cfg = config().trainer
    cfg.accelerator, cfg.precision = "cpu", "16-mixed"
    with pytest.raises(UserError, match=r"trainer\.precision=16-mixed needs a GPU"):
        build_trainer(cfg, logger=False)
    cfg.loss_scale = 128.0
    with pytest.raises(UserError, match=r"trainer\.loss_scale=128 needs a CUDA GPU"):
        build_trainer(cfg, logger=False)


def test_the_loss_scale_reaches_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # as far as a machine without one can go
    cfg = config().trainer
    cfg.precision, cfg.loss_scale = "16-mixed", 128.0
    (plugin,) = loss_scaling(cfg)
    assert isinstance(plugin.scaler, StaticLossScale)
    assert (plugin.precision, plugin.device) == ("16-mixed", "cuda")
    assert plugin.scaler.get_scale() == plugin.scaler.static == 128
    cfg.accelerator = "cpu"  # Lightning takes the plugin; then the Trainer is judged by where it would run
    with pytest.raises(UserError, match=r"trainer\.precision=16-mixed needs a GPU"):
        build_trainer(cfg, logger=False)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec")
@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
def test_a_share_of_an_epoch_is_whole_optimizer_steps(tmp_path: Path) -> None:
    """18 steps of 4 micro-batches: 0.3 of them are 5 steps, while 0.3 of 72 micro-batches would be 5 and a quarter."""
    cfg = config()
    cfg.data.batch_size, cfg.trainer.accumulate_grad_batches = 64, 4
    cfg.trainer.limit_train_batches, cfg.trainer.max_epochs = 0.3, 2
    plan = make_plan(cfg, [])
    trainer = build_trainer(
        cfg.trainer,
        limit_train_batches=plan.micro_batches_per_epoch,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(build_module(plan), datamodule=plan.data)
    assert trainer.num_training_batches == 20
    assert trainer.global_step == 10 == plan.schedule.total_steps


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("optim", "lr", -1.0),
        ("optim", "momentum", 1.0),
        ("optim", "weight_decay", -1.0),
        ("optim", "layer_decay", 0.0),
        ("optim", "warmup_lr", 1.0),
        ("optim", "min_lr", -1.0),
        ("optim", "gamma", 0.0),
        ("optim", "decay_epochs", 0.0),
        ("optim", "power", 0.0),
        ("model", "bn_momentum", 2.0),
        ("model", "num_classes", 1),
        ("trainer", "loss_scale", 0.0),
        ("trainer", "loss_scale", 128.0),  # with 32-true
        ("trainer", "log_every_n_steps", 0),
        ("trainer", "gradient_clip_val", -1.0),
        ("trainer", "limit_train_batches", 0.0),
        ("eval", "ece_bins", 0),
        ("eval", "batch_size", 0),
        ("data", "label_offset", -1),
    ],
)
def test_numbers_without_a_meaning(group: str, key: str, value: float) -> None:
    cfg = config()
    setattr(getattr(cfg, group), key, value)
    with pytest.raises(UserError, match=f"{group}.{key}"):
        make_plan(cfg, [])


def test_one_class_is_none(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split / "cat").mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8)).save(tmp_path / split / "cat" / f"{i}.png")
    cfg = config()
    cfg.data.name, cfg.data.root, cfg.data.batch_size = "imagefolder", str(tmp_path), 2
    with pytest.raises(UserError, match="has one class, cat: at least two"):
        make_plan(cfg, [])


def test_weights_of_16_bits_are_refused_on_a_cpu() -> None:
    """Where they would learn next to nothing."""
    cfg = Config().trainer
    cfg.accelerator, cfg.precision = "cpu", "16-true"
    with pytest.raises(UserError, match=r"trainer.precision=16-true needs a GPU: on a CPU take bf16-mixed"):
        build_trainer(cfg, logger=False)


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed_stage_2"])
def test_sharded_networks_are_refused_before_anything_is_built(strategy: str) -> None:
    cfg = config()
    cfg.trainer.strategy = strategy
    with pytest.raises(UserError, match=f"strategy={strategy} shards the network"):
        make_plan(cfg, [], need_data=False)


def test_a_precision_whose_package_is_missing() -> None:
    cfg = Config().trainer
    cfg.accelerator, cfg.precision = "cpu", "transformer-engine"
    with pytest.raises(UserError, match=r"trainer.precision=transformer-engine cannot be had here"):
        build_trainer(cfg, logger=False)
