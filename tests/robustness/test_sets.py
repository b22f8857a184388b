"""Corrupted images from every source: which image, which label, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assemble.data.splits import EvalSet
from assemble.errors import UserError
from assemble.robustness.corruptions import CORRUPTIONS, EXTRA, corrupt, corruption_rng
from assemble.robustness.sets import CifarC, ImageNetC, OnTheFly, central
from assemble.schema import Preset

GROUPS = {"gaussian_noise": "noise", "fog": "weather", "speckle_noise": "extra"}


def published(root: Path, names: tuple[str, ...], *, grouped: bool) -> Path:
    """Two classes of one image each, of a grey that says which corruption and severity it is."""
    for i, name in enumerate(names):
        for severity in range(1, 6):
            for label, folder in enumerate(("a", "b")):
                place = root / (GROUPS.get(name, "other") if grouped else "") / name / str(severity) / folder
                place.mkdir(parents=True)
                Image.new("L", (8, 8), 10 * i + 2 * severity + label).save(place / "x.png")
    return root


@pytest.mark.parametrize("grouped", [False, True])
def test_folders_flat_or_in_groups(tmp_path, grouped):
    root = published(tmp_path, (*CORRUPTIONS, EXTRA[0]), grouped=grouped)
    (root / "saturate" / "1" / "a").mkdir(parents=True)  # not all severities: as if it were not there
    data = ImageNetC(root, ["a", "b"], 8)
    assert data.names == [*CORRUPTIONS, EXTRA[0]]
    assert len(data) == 2
    for i, name in enumerate(data.names):
        (image, first), (_, second) = (data.images(name, 3)[k] for k in (0, 1))
        assert (first, second) == (0, 1)
        assert image.shape == (8, 8, 3)
        assert (image == 10 * i + 6).all()


def test_a_corruption_that_is_missing(tmp_path):
    published(tmp_path, CORRUPTIONS[:-2], grouped=True)
    with pytest.raises(UserError, match=r"lacks pixelate and 1 more"):
        ImageNetC(tmp_path, ["a", "b"], 8)


def test_classes_that_the_network_has_not(tmp_path):
    published(tmp_path, CORRUPTIONS, grouped=False)
    with pytest.raises(UserError, match=r"1/b is no class"):
        ImageNetC(tmp_path, ["a", "c"], 8)


def test_labels_are_positions_among_all_classes(tmp_path):
    published(tmp_path, CORRUPTIONS, grouped=False)
    images = ImageNetC(tmp_path, ["0", "a", "aa", "b"], 8).images("fog", 1)
    assert [images[i][1] for i in (0, 1)] == [1, 3]


def test_published_images_are_not_resized():
    image = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    assert np.array_equal(central(image, 6), image)
    assert np.array_equal(central(image, 4), image[1:5, 1:5])
    with pytest.raises(UserError, match=r"have 6 pixels .* scored at 8: set data\.eval_size=6"):
        central(image, 8)


def cifar(root: Path) -> None:
    """Three images in five severities, of a value that says which."""
    np.save(root / "labels.npy", np.tile([4, 0, 9], 5).astype(np.uint8))
    rows = np.arange(15, dtype=np.uint8).reshape(15, 1, 1, 1)
    for i, name in enumerate(CORRUPTIONS):
        np.save(root / f"{name}.npy", np.full((15, 32, 32, 3), i, np.uint8) + rows)


def test_arrays_severity_after_severity(tmp_path):
    cifar(tmp_path)
    data = CifarC(tmp_path, 10, 32)
    assert len(data) == 3
    assert data.names == list(CORRUPTIONS)
    images = data.images("fog", 4)
    assert [images[i][1] for i in range(3)] == [4, 0, 9]
    fog = CORRUPTIONS.index("fog")
    assert [int(images[i][0].max()) for i in range(3)] == [fog + 9, fog + 10, fog + 11]
    assert images[0][0].shape == (32, 32, 3)


def test_arrays_that_are_not_what_they_should_be(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*labels\.npy"):
        CifarC(tmp_path, 10, 32)
    cifar(tmp_path)
    with pytest.raises(UserError, match=r"labels\.npy is not of images of 8 classes"):
        CifarC(tmp_path, 8, 32)
    np.save(tmp_path / "fog.npy", np.zeros((14, 32, 32, 3), np.uint8))
    with pytest.raises(UserError, match=r"fog\.npy is uint8 \(14, 32, 32, 3\), not uint8 \(15, H, W, 3\)"):
        CifarC(tmp_path, 10, 32)
    (tmp_path / "fog.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match=r"fog\.npy is damaged"):
        CifarC(tmp_path, 10, 32)
    (tmp_path / "fog.npy").unlink()
    with pytest.raises(UserError, match=r"there is no .*fog\.npy"):
        CifarC(tmp_path, 10, 32)


class Some:
    """Two images, as a split of a data set."""

    labels = np.array([1, 0])

    def __init__(self, dtype: type = np.uint8) -> None:
        grey = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
        self.images = (grey + (0.4 if dtype is np.float32 else 0)).astype(dtype)

    def load(self, index, crop):
        return crop(self.images[index])

    def digest(self) -> str:
        return "some"


def made(dtype: type = np.uint8, **options) -> OnTheFly:
    return OnTheFly(EvalSet(Some(dtype), lambda image: image), 32, **options)


def test_on_the_fly_every_image_has_a_generator_of_its_own():
    images = made().images("gaussian_noise", 3)
    (first, label), (second, _) = images[0], images[1]
    assert label == 1
    for index, found in enumerate((first, second)):
        rng = corruption_rng(0, index, "gaussian_noise", 3)
        expected = corrupt(Some().images[index], "gaussian_noise", 3, rng, preset="cifar")
        assert np.array_equal(found, expected)
    assert np.array_equal(made().images("gaussian_noise", 3)[1][0], second)  # whatever was loaded before


def test_the_fractions_of_the_official_crop_are_rounded():
    assert np.array_equal(made(np.float32).images("fog", 2)[0][0], made().images("fog", 2)[0][0])


def test_presets_go_by_size_and_can_be_chosen():
    plain = EvalSet(Some(), lambda image: image)
    assert [OnTheFly(plain, size).about["preset"] for size in (32, 64, 65)] == ["cifar", "tiny", "imagenet"]
    chosen = made(preset=Preset.imagenet)
    assert chosen.about["preset"] == "imagenet"
    assert not np.array_equal(chosen.images("fog", 1)[0][0], made().images("fog", 1)[0][0])


def test_a_jpeg_round_trip_and_the_extra_ones_where_wanted():
    assert made().names == list(CORRUPTIONS)
    assert made(extra=True).names == [*CORRUPTIONS, *EXTRA]
    assert made(jpeg=True).about["jpeg"] is True
    assert not np.array_equal(made(jpeg=True).images("contrast", 1)[0][0], made().images("contrast", 1)[0][0])


def test_frost_says_whether_it_compares(tmp_path):
    assert set(made().about) >= {"frost_textures", "frost_comparable"}
    with pytest.raises(UserError, match="no frost texture"):
        made(textures=str(tmp_path))


def test_images_too_small_to_be_corrupted():
    with pytest.raises(UserError, match=r"at least 28 pixels, and the network is scored at 16"):
        OnTheFly(EvalSet(Some(), lambda image: image), 16)
