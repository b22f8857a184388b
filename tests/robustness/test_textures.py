"""Where images of frost come from."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from assemble.errors import UserError
from assemble.robustness.corruptions import corrupt, textures
from tests.helpers.photographs import NOISE, photograph


def write_textures(folder):
    folder.mkdir(parents=True)
    for name, image in zip(textures.FILES, NOISE.images, strict=True):
        Image.fromarray(image).save(folder / name, "PNG")
    return folder


def test_textures_of_a_folder(tmp_path):
    read = textures.from_folder(write_textures(tmp_path / "ice"))
    assert all(np.array_equal(a, b) for a, b in zip(read.images, NOISE.images, strict=True))
    assert not read.comparable, "other files than the original's"
    frozen = [corrupt(photograph(64), "frost", 3, np.random.default_rng(0), textures=t) for t in (read, NOISE)]
    assert np.array_equal(*frozen)


def test_textures_of_an_installed_package_that_cannot_be_imported(tmp_path, monkeypatch):
    write_textures(tmp_path / "imagecorruptions" / "frost")
    (tmp_path / "imagecorruptions" / "__init__.py").write_text("raise ImportError('pkg_resources')")
    monkeypatch.syspath_prepend(tmp_path)
    textures.installed.cache_clear()
    try:
        assert textures.installed().source == str(tmp_path / "imagecorruptions" / "frost")
    finally:
        textures.installed.cache_clear()


def test_without_textures_frost_is_drawn_and_says_so(monkeypatch):
    monkeypatch.setattr(textures, "PACKAGES", ("no_such_package",))
    textures.installed.cache_clear()
    try:
        drawn = textures.installed()
        assert (drawn.source, drawn.comparable) == ("drawn", False)
        assert all(image.std() > 20 for image in drawn.images)
        assert np.array_equal(drawn.images[0], textures._crystals(np.random.default_rng(0), 600))
    finally:
        textures.installed.cache_clear()


def test_the_originals_files_are_known_by_their_bytes(tmp_path, monkeypatch):
    folder = write_textures(tmp_path / "ice")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in textures.FILES}
    monkeypatch.setattr(textures, "FILES", digests)
    assert textures.from_folder(folder).comparable


def test_a_texture_smaller_than_the_image_is_enlarged():
    for height, width in ((299, 319), (300, 320), (512, 512), (700, 300)):
        texture = NOISE.at_least(0, 1, height, width)
        assert texture.shape[0] > height
        assert texture.shape[1] > width
    assert NOISE.at_least(1, 1, 298, 318) is NOISE.images[1]
    assert NOISE.at_least(0, 0.5, 64, 64).shape == (150, 160, 3)


def test_broken_textures_are_named(tmp_path):
    folder = write_textures(tmp_path / "ice")
    (folder / "frost2.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot read the frost texture .*frost2\.png"):
        textures.from_folder(folder)
    (folder / "frost2.png").unlink()
    with pytest.raises(UserError, match=r"no frost texture .*frost2\.png .*needs frost1\.png"):
        textures.from_folder(folder)
