"""`model.checkpoint`: files from elsewhere."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assemble import create_model
from assemble.errors import UserError
from assemble.models.convert import from_official
from assemble.models.weights import load_weights, read_weights
from tests.helpers import official


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return create_model("tiny", ["sk"], num_classes=4).state_dict()


def fresh() -> torch.nn.Module:
    torch.manual_seed(2)
    return create_model("tiny", ["sk"], num_classes=4)


@pytest.mark.parametrize("kind", ["pt", "safetensors", "ckpt"])
def test_every_kind_of_file(kind: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "ckpt":  # Lightning's, with the network under "model."
        torch.save({"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    else:
        torch.save(state, path)
    model = fresh()
    assert not torch.equal(model.state_dict()["fc.weight"], state["fc.weight"])
    load_weights(model, path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("name", ["a.ckpt", "a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello, I am no weights", b"PK\x03\x04 cut off"])
def test_a_damaged_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_weights(fresh(), tmp_path / name)


class Exploit:
    """What a harmful checkpoint looks like: unpickling it runs code."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("harmed"),))


def test_no_code_runs_from_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Exploit()}, tmp_path / "harmful.pt")
    with pytest.raises(UserError, match="more than tensors"):
        load_weights(fresh(), tmp_path / "harmful.pt")
    assert not (tmp_path / "harmed").exists()
    with (tmp_path / "harmful.pt").open("rb") as file, pytest.raises((pickle.UnpicklingError, RuntimeError)):
        torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    ("tricks", "classes", "message"),
    [([], 4, "of another model: it lacks"), (["sk", "se"], 4, "and the model has not"), (["sk"], 5, "fc.weight is")],
)
def test_of_another_model(tricks: list[str], classes: int, message: str, tmp_path: Path) -> None:
    torch.save(create_model("tiny", tricks, num_classes=classes).state_dict(), tmp_path / "other.pt")
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=message):
        load_weights(model, tmp_path / "other.pt")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("case", ["r50_se", "r50_bl_sk_aa"])
def test_for_fine_tuning_what_the_official_code_restores(case: str, tmp_path: Path) -> None:
    """Its variables by its names: trainable, and no "dense" in the name but of an se_block (utils/hook_utils.py)."""

    def model() -> torch.nn.Module:
        return create_model("resnet50", official.TRICKS[case], num_classes=11, width=8)

    variables = official.variables(case)
    restored = {
        name: value if ("dense" not in name or "se_block" in name) and "moving" not in name else np.nan * value
        for name, value in variables.items()
    }
    torch.save(from_official(model(), variables), tmp_path / "official.pt")
    torch.manual_seed(2)
    fresh = model()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    load_weights(fresh, tmp_path / "official.pt", new_head=True, statistics=False)
    found = fresh.state_dict()
    expected = from_official(model(), restored)
    assert found.pop("tf_padding")  # the convention comes with the weights
    assert {name for name in found if expected[name].isnan().any()} == {
        name for name in found if name.startswith("fc.") or "running_" in name
    }
    for name, value in found.items():
        assert torch.equal(value, before[name] if expected[name].isnan().any() else expected[name]), name


def test_another_classifier(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "four.pt")
    model = create_model("tiny", ["sk"], num_classes=7)
    with pytest.raises(UserError, match=r"fits but for its classifier \(fc.* is \(4.*: model\.new_head=true leaves"):
        load_weights(model, tmp_path / "four.pt")
    head = model.fc.weight.clone()  # type: ignore[union-attr]
    load_weights(model, tmp_path / "four.pt", new_head=True)
    assert torch.equal(model.fc.weight, head)  # type: ignore[arg-type]
    for name, value in model.state_dict().items():
        assert name.startswith("fc.") or torch.equal(value, state[name]), name
    with pytest.raises(UserError, match=r"of another model: it lacks"):  # not the classifier alone
        load_weights(create_model("tiny", ["se"], num_classes=7), tmp_path / "four.pt", new_head=True)
    with pytest.raises(UserError, match=r"model\.new_head: Linear does not say which part"):
        load_weights(torch.nn.Linear(1, 1), tmp_path / "four.pt", new_head=True)


def test_tricks_without_weights_do_not_matter(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """As where pre-training dropped blocks or had a teacher, and fine-tuning has not."""
    torch.save(state, tmp_path / "plain.pt")
    other = create_model("tiny", ["sk", "dropblock", "stochastic_depth", "zero_gamma"], num_classes=4)
    load_weights(other, tmp_path / "plain.pt")
    torch.save(other.state_dict(), tmp_path / "dropped.pt")
    model = fresh()
    load_weights(model, tmp_path / "dropped.pt")
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_torchvisions_and_timms_weights_for_other_classes(tmp_path: Path) -> None:
    import timm
    import torchvision

    theirs = {
        "torchvision.pth": torchvision.models.resnet18(),
        "timm.safetensors": timm.create_model("resnet18"),
    }
    for name, network in theirs.items():
        save = save_file if name.endswith("safetensors") else torch.save
        save(network.state_dict(), tmp_path / name)  # type: ignore[operator]
        model = create_model("resnet18", num_classes=5)
        load_weights(model, tmp_path / name, new_head=True)
        own = model.state_dict()
        assert own["fc.weight"].shape == (5, 512)
        assert all(torch.equal(v, own[k]) for k, v in network.state_dict().items() if not k.startswith("fc."))
    # A network of timm's takes a new classifier as well.
    network = timm.create_model("mobilenetv2_035", num_classes=3)
    torch.save(timm.create_model("mobilenetv2_035", num_classes=4).state_dict(), tmp_path / "mobile.pt")
    with pytest.raises(UserError, match=r"model\.new_head=true"):
        load_weights(network, tmp_path / "mobile.pt")
    load_weights(network, tmp_path / "mobile.pt", new_head=True)


@pytest.mark.parametrize("name", ["missing.pt", "broken.pt", "broken.safetensors", "empty.pt"])
def test_unusable_files(name: str, tmp_path: Path) -> None:
    if name.startswith("broken"):
        (tmp_path / name).write_bytes(b"not weights at all")
    if name == "empty.pt":
        torch.save({}, tmp_path / name)
    with pytest.raises(UserError, match=r"model\.checkpoint"):
        load_weights(fresh(), tmp_path / name)


def test_of_two_kinds_of_weights_in_a_checkpoint(tmp_path: Path) -> None:
    scored, average, raw = ({"fc.bias": torch.full((2,), float(i))} for i in range(3))
    callbacks = {"Timer": {"time": 1}, "WeightAverage": {"updates": 3, "average": average, "weights": raw}}
    state = {f"model.{name}": value for name, value in scored.items()}
    torch.save({"state_dict": state, "callbacks": callbacks}, tmp_path / "a.ckpt")
    for averaged, expected in ((None, scored), (True, average), (False, raw)):
        assert read_weights(tmp_path / "a.ckpt", averaged)["fc.bias"].equal(expected["fc.bias"])
    for content in ({"state_dict": state, "callbacks": {"Timer": {"time": 1}}}, {"state_dict": state}, scored):
        torch.save(content, tmp_path / "b.ckpt")
        with pytest.raises(UserError, match="has one kind of weights"):
            read_weights(tmp_path / "b.ckpt", averaged=True)
