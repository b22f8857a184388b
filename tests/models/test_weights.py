"""`model.checkpoint`: files from elsewhere."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.errors import UserError
from models import create_model
from models.weights import load_weights


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


@pytest.mark.parametrize("name", ["missing.pt", "broken.pt", "broken.safetensors", "empty.pt"])
def test_unusable_files(name: str, tmp_path: Path) -> None:
    if name.startswith("broken"):
        (tmp_path / name).write_bytes(b"not weights at all")
    if name == "empty.pt":
        torch.save({}, tmp_path / name)
    with pytest.raises(UserError, match=r"model\.checkpoint"):
        load_weights(fresh(), tmp_path / name)
