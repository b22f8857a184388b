"""The fine-grained data sets: the paper's splits out of torchvision's layouts, whole or named as not whole."""

import re
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from omegaconf import OmegaConf

from assemble.data.fgvc import SETS
from assemble.data.sources import open_source
from assemble.errors import UserError
from assemble.schema import DataConfig
from lit_modules.datamodule import ClassifierData
from tests.helpers.fgvc_layouts import LAYOUTS, accept_other_flowers, colour, food101

CONF = Path(__file__).resolve().parents[2] / "conf" / "data"


@pytest.fixture(autouse=True)
def flowers(monkeypatch):
    accept_other_flowers(monkeypatch)


def config(name: str, root: Path, /, **changes) -> DataConfig:
    return DataConfig(**{"name": name, "root": str(root), "image_size": 16, **changes})


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_splits_are_the_papers(name, tmp_path):
    expected = LAYOUTS[name](tmp_path)
    source = open_source(config(name, tmp_path))
    for split, listed in (("train", expected["train"]), ("val", expected["test"]), ("test", expected["test"])):
        found = getattr(source, split)
        files = [str(Path(found.path(i)).relative_to(tmp_path)) for i in range(len(found.labels))]
        assert list(zip(files, found.labels.tolist(), strict=True)) == listed
        image = found.load(1, lambda whole: whole.decode())
        assert np.abs(image.astype(int) - colour(listed[1][1], 1)).max() <= 4  # it is a JPEG
    assert len(source.classes) >= 2
    assert max(source.train.labels) < len(source.classes)


def test_every_set_has_a_config_that_states_the_papers_numbers():
    """Lee et al. 2020 (arXiv 2001.06268), Table 14."""
    numbers = {
        "food101": ("75,750", "25,250", "101"),
        "stanford_cars": ("8,144", "8,041", "196"),
        "flowers102": ("2,040", "6,149", "102"),
        "fgvc_aircraft": ("6,667", "3,333", "100"),
        "oxford_pets": ("3,680", "3,669", "37"),
    }
    assert numbers.keys() == SETS.keys() == LAYOUTS.keys()
    for name, (train, test, classes) in numbers.items():
        about = (CONF / f"{name}.yaml").read_text().partition("\n")[0]
        assert re.search(rf"{train} training .*{test} test images, {classes} classes", about)
        assert f"{SETS[name].folder}/" in about
        assert OmegaConf.load(CONF / f"{name}.yaml").image_size == 224


def test_batches(tmp_path):
    food101(tmp_path)
    data = ClassifierData(config("food101", tmp_path), micro_batch=4)
    images, labels, index = next(iter(data.train_dataloader()))
    assert images.shape == (4, 3, 16, 16)
    assert labels.tolist() == data.source.train.labels[index].tolist()


def remove_a_image(root: Path) -> None:
    (root / "food-101" / "images" / "ramen" / "101.jpg").unlink()


def remove_a_class(root: Path) -> None:
    shutil.rmtree(root / "food-101" / "images" / "ramen")


def half_a_list(root: Path) -> None:
    file = root / "food-101" / "meta" / "train.json"
    file.write_bytes(file.read_bytes()[:40])


@pytest.mark.parametrize(
    ("damage", "changes", "message"),
    [
        (lambda root: None, {"root": None}, r"data=food101 needs data\.root=DIR: .*food-101/ is"),
        (
            lambda root: shutil.rmtree(root / "food-101"),
            {},
            r"there is no .*/food-101: data\.download=true fetches it$",
        ),
        (lambda root: None, {"name": "stanford_cars", "download": True}, r"no .*/stanford_cars: its own site is gone"),
        (remove_a_image, {}, r"not whole: food-101/images/ramen/101\.jpg is missing: remove that folder, and data"),
        (remove_a_class, {}, r"images/ramen/0\.jpg and 3 more are missing"),
        (half_a_list, {}, r"food-101 cannot be read \(.*\): remove that folder, and data\.download=true fetches"),
        (
            lambda root: shutil.rmtree(root / "food-101" / "meta"),
            {},
            r"food-101 cannot be read \(Dataset not found\): remove",
        ),
    ],
)
def test_mistakes_are_answered_in_one_line(damage, changes, message, tmp_path):
    food101(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        open_source(config("food101", tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_stopped_while_unpacking_it_is_downloaded_again(tmp_path, monkeypatch):
    from torchvision.datasets import Food101

    calls = []

    def unpack(self) -> None:
        if self._check_exists():  # as torchvision does: whatever is there is taken for whole
            return
        calls.append(Path(self.root))
        food101(Path(self.root))
        if len(calls) == 1:
            remove_a_image(Path(self.root))
            raise KeyboardInterrupt

    monkeypatch.setattr(Food101, "_download", unpack)
    root = tmp_path / "new" / "folder"
    with pytest.raises(KeyboardInterrupt):
        open_source(config("food101", root, download=True))
    with pytest.raises(UserError, match=r"there is no .*food-101"):
        open_source(config("food101", root))
    assert len(open_source(config("food101", root, download=True)).test.labels) == 6
    open_source(config("food101", root, download=True))  # it is there
    assert len(calls) == 2
    assert [file.name for file in root.iterdir() if file.suffix != ".lock"] == ["food-101"]


def test_a_download_that_fails(tmp_path, monkeypatch):
    from torchvision.datasets import Food101

    def fail(self) -> None:
        raise URLError("no route\nto host")

    monkeypatch.setattr(Food101, "_download", fail)
    with pytest.raises(UserError, match=r"food-101 cannot be downloaded \(.*no route to host.*\): try again") as caught:
        open_source(config("food101", tmp_path, download=True))
    assert "\n" not in str(caught.value)
