"""convert.py against the official TensorFlow code's answers, on checkpoints as TensorFlow lists them: by name."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from assemble import create_model
from assemble.errors import UserError
from assemble.models.convert import by_name
from assemble.programs import convert
from assemble.scoring.trained import open_trained
from tests.helpers import official

SMALL = ("model=resnet50", "model.width=8")


def listed(case: str) -> dict[str, np.ndarray]:
    """The variables of a case in the order of their names, among what else a training leaves in a checkpoint."""
    arrays = official.variables(case)
    first = next(iter(arrays))
    more = {"global_step": np.array(7), f"{first}/Momentum": arrays[first] + 1, "beta1_power": np.array(0.9)}
    return dict(sorted({**arrays, **more}.items()))


def written(folder: Path, arrays: dict[str, np.ndarray]) -> str:
    path = folder / "weights.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["convert.py", *arguments])
    try:
        convert.main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def tricks(case: str) -> str:
    return f"tricks=[{','.join(official.TRICKS[case])}]"


@pytest.mark.parametrize("case", official.TRICKS)
def test_variables_get_their_order_of_creation_back(case):
    model = create_model("resnet50", official.TRICKS[case], num_classes=11, width=8)
    assert list(by_name(model, listed(case))) == list(official.variables(case))


@pytest.mark.parametrize("case", ["r50_se", "r50_bl_sk_aa"])
def test_official_logits_by_the_command(case, tmp_path, monkeypatch, capsys):
    weights = written(tmp_path, listed(case))
    assert run(monkeypatch, f"weights={weights}", *SMALL, tricks(case), f"output={tmp_path / 'out'}") == 0
    assert "11 classes" in capsys.readouterr().out
    teacher = open_trained(str(tmp_path / "out" / "model.safetensors"))
    reference = official.load(f"model_{case}")
    with torch.no_grad():
        logits = teacher.network(official.images(reference["image_size"]))
    assert official.relative_error(logits, torch.tensor(reference["logits"])) < 1e-5
    assert teacher.mean.flatten().tolist() == pytest.approx([123.68, 116.78, 103.94])


def test_without_the_background_class(tmp_path):
    options = convert.Options(written(tmp_path, listed("r50")), str(tmp_path), convert.Background.drop)
    teacher = open_trained(str(convert.convert(options, [*SMALL, "tricks=[]"])))
    reference = torch.tensor(official.load("model_r50")["logits"])
    with torch.no_grad():
        assert official.relative_error(teacher.network(official.images(64)), reference[:, 1:]) < 1e-5
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (config["model"]["num_classes"], config["data"]["label_offset"]) == (10, 0)
    with pytest.raises(UserError, match="no background class"):
        convert.convert(options, [*SMALL, "tricks=[]", "data.label_offset=0"])


def test_moving_averages_take_the_place_of_the_weights(tmp_path):
    arrays = listed("r50")
    averages = {f"{name}/ExponentialMovingAverage": value for name, value in official.variables("r50").items()}
    spoilt = {name: value + 1 for name, value in arrays.items()}
    model = create_model("resnet50", num_classes=11, width=8)
    expected, got = by_name(model, arrays), by_name(model, spoilt | averages)
    assert list(expected) == list(got)
    assert all(np.array_equal(expected[name], got[name]) for name in expected)


@pytest.mark.parametrize(
    ("case", "arguments", "message"),
    [
        ("r50", ("tricks=[sk]",), "no variables for layer1.0.conv2.fc1"),
        ("r50_sk", ("tricks=[]",), "resnet_model/conv2d_3/kernel"),
        ("r50_se", ("tricks=[]",), "no place for variable resnet_model/se_block/seblock_dense_1/kernel"),
        ("r50", ("tricks=[]", "model.width=16"), "variable resnet_model/conv2d/kernel"),
    ],
)
def test_a_checkpoint_that_does_not_fit_says_which_variable(case, arguments, message, tmp_path, monkeypatch, capsys):
    weights = written(tmp_path, listed(case))
    keys = {argument.partition("=")[0] for argument in arguments}
    others = [argument for argument in SMALL if argument.partition("=")[0] not in keys]
    assert run(monkeypatch, f"weights={weights}", *others, *arguments, f"output={tmp_path / 'out'}") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()


def test_a_state_dict_of_torchvision(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = resnet18(num_classes=7).eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    path = convert.convert(
        convert.Options(str(tmp_path / "resnet18.pth"), str(tmp_path / "out")), ["data=imagenet", "model=resnet18"]
    )
    teacher = open_trained(str(path))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(teacher.network(images), theirs(images), rtol=1e-4, atol=1e-5)
    assert teacher.size == 224
    with pytest.raises(UserError, match="layer1"):
        convert.convert(convert.Options(str(tmp_path / "resnet18.pth")), ["data=imagenet", "model=resnet50"])


def test_a_checkpoint_of_tensorflow(tmp_path, monkeypatch, capsys):
    """Where TensorFlow is not installed the command says what to do; where it is, variables come from its reader."""
    (tmp_path / "model.ckpt-7.index").touch()
    weights = f"weights={tmp_path / 'model.ckpt-7'}"
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert run(monkeypatch, weights, *SMALL, "tricks=[]") == 2
    assert "assemble/models/tf_checkpoint.py" in capsys.readouterr().err

    arrays = listed("r50")

    def load_checkpoint(path: str) -> SimpleNamespace:
        if path != str(tmp_path / "model.ckpt-7"):
            raise ValueError("no checkpoint")
        return SimpleNamespace(get_variable_to_shape_map=lambda: dict(arrays), get_tensor=arrays.__getitem__)

    module = ModuleType("tensorflow")
    module.train, module.errors = SimpleNamespace(load_checkpoint=load_checkpoint), SimpleNamespace(OpError=OSError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", module)
    assert run(monkeypatch, weights, *SMALL, "tricks=[]", f"output={tmp_path / 'out'}") == 0
    reference = official.load("model_r50")
    teacher = open_trained(str(tmp_path / "out" / "model.safetensors"))
    with torch.no_grad():
        logits = teacher.network(official.images(64))
    assert official.relative_error(logits, torch.tensor(reference["logits"])) < 1e-5
    assert run(monkeypatch, f"weights={tmp_path}", *SMALL) == 2
    assert "no readable TensorFlow checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("nothing.npz", "there is no weights file"),
        ("nothing", "there are no weights"),
        ("damaged.npz", "no readable .npz"),
        ("torchvision:resnet5", "Did you mean"),
        ("timm:resnet5", "timm has no model"),
    ],
)
def test_weights_that_cannot_be_had(weights, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("damaged.npz").write_bytes(b"PK\x03\x04 cut off")
    assert run(monkeypatch, f"weights={weights}", "model=resnet50") == 2
    assert message in capsys.readouterr().err
