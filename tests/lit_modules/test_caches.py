"""Images that are kept decoded: a run sees the same ones to the bit, whatever the workers, or is refused."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import assemble
from assemble.data import pixel_cache
from assemble.data.crops import crops
from assemble.data.decode import ImageFile
from assemble.data.identity import data_digest
from assemble.data.places import File
from assemble.errors import UserError
from assemble.schema import Border, Cache, DataConfig, OnBadImage, Preprocessing
from lit_modules import datamodule, device_cache
from lit_modules.datamodule import ClassifierData
from tests.lit_modules.test_data import batches, digits_config, folder_config, image_folder, same, smooth_image
from tricks import create


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datamodule, "cores", lambda: 2)


def icons(root: Path, size: int = 12, each: int = 12) -> Path:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for i in range(each):
                pixels = np.random.default_rng([len(split), len(name), i]).integers(0, 256, (size, size, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


def seen(cfg: DataConfig, epochs: int = 2, **more) -> list:
    """Training batches of some epochs, and those that are validated on."""
    data = ClassifierData(cfg, micro_batch=4, seed=2, **more)
    loader, found = data.train_dataloader(), []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        found += batches(loader)
    return found + batches(data.val_dataloader())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("preprocessing", Preprocessing)
def test_in_memory_they_are_the_same(tmp_path, workers, preprocessing):
    """A large JPEG among them, which a crop may do with at a half of its sides."""
    root = image_folder(tmp_path / "images")
    smooth_image(210, 170).save(root / "train" / "cat" / "0.jpg", quality=95)
    cfg = folder_config(root, preprocessing=preprocessing)
    expected = seen(cfg)
    cached = replace(cfg, cache=Cache.ram, num_workers=workers)
    for _ in range(2):
        assert same(seen(cached), expected)
    assert data_digest(cached) == data_digest(cfg)


def test_every_crop_of_a_large_jpeg_is_the_same(tmp_path):
    smooth_image(333, 271).save(tmp_path / "0.jpg", quality=95)
    whole = ImageFile.read(tmp_path / "0.jpg")
    cached = pixel_cache.CachedImage(whole.decode().copy(), File(str(tmp_path / "0.jpg")), whole.reading)
    for width, height in [(0, 0), (333, 1), (167, 136), (166, 135), (83, 67), (40, 40), (1, 271), (1, 1)]:
        expected = ImageFile.read(tmp_path / "0.jpg").decode(width, height).copy()
        assert np.array_equal(cached.decode(width, height), expected)


def test_files_are_decoded_once(tmp_path, monkeypatch):
    """Until one of them changes; a worker gets no copy."""
    cfg = folder_config(image_folder(tmp_path / "images"), cache=Cache.ram)
    first = ClassifierData(cfg, micro_batch=4)
    fill = pixel_cache._fill
    monkeypatch.setattr(pixel_cache, "_fill", lambda *args: pytest.fail("decoded again"))
    again = ClassifierData(cfg, micro_batch=4)
    assert len(pickle.dumps(again.train_set)) < 5000
    copy = pickle.loads(pickle.dumps(again.train_set))
    assert np.array_equal(copy[0, 0, 3][0], first.train_set[0, 0, 3][0])
    monkeypatch.setattr(pixel_cache, "_fill", fill)
    smooth_image(44, 33, 99).save(tmp_path / "images" / "train" / "cat" / "1.png")
    changed = ClassifierData(cfg, micro_batch=4)
    assert (
        changed.train_set[0, 0, 1][0].tolist()
        == ClassifierData(replace(cfg, cache=None), micro_batch=4).train_set[0, 0, 1][0].tolist()
    )
    assert len(list((tmp_path / "cache" / "assemble" / "pixels").glob("*/pixels.bin"))) == 3  # train, val, train


def test_without_room_or_with_a_bad_image(tmp_path, monkeypatch):
    root = image_folder(tmp_path / "images")
    cfg = folder_config(root, cache=Cache.ram, cache_dir=str(tmp_path / "own"))
    monkeypatch.setattr(pixel_cache, "free_memory", lambda: 1000)
    with pytest.raises(
        UserError, match=r"data\.cache=ram: the decoded images take 0\.0 GB, and the memory has 0\.0 GB"
    ):
        ClassifierData(cfg, micro_batch=4)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bad = root / "train" / "dog" / "0.jpg"
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(UserError, match=r"cannot read the image .*train/dog/0\.jpg .*on_bad_image=skip leaves it out"):
        ClassifierData(cfg, micro_batch=4)
    assert not list((tmp_path / "own" / "pixels").glob("*.part"))
    skipping = replace(cfg, on_bad_image=OnBadImage.skip)
    assert same(seen(skipping), seen(replace(skipping, cache=None)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("changes", [{}, {"flip": 0.5, "vflip": 0.3, "crop_pad": 2}, {"train_share": 0.3}])
def test_on_the_device_they_are_the_same(workers, changes):
    cfg = digits_config(image_size=8, **changes)
    mixing = {"images_per_target": 2, "tricks": create({"repeated_augmentation": {"num_repeats": 2}})}
    expected = seen(cfg, **mixing)
    found = seen(replace(cfg, cache=Cache.device, num_workers=workers), **mixing)
    assert same(found, expected)
    assert found[0][0].is_contiguous(memory_format=torch.channels_last)
    assert expected[0][0].stride() == found[0][0].stride()


def test_small_images_in_folders_are_trained_on_as_cifars_are(tmp_path):
    """What comes in is black; on the device too."""
    root = icons(tmp_path / "images")
    cfg = folder_config(root, image_size=12, preprocessing=Preprocessing.small, crop_pad=3)
    expected = seen(cfg)
    assert same(seen(replace(cfg, cache=Cache.device)), expected)
    data = ClassifierData(cfg, micro_batch=4)
    image = np.asarray(Image.open(root / "train" / "cat" / "1.png"))
    padded = np.pad(image, ((3, 3), (3, 3), (0, 0)))
    views = [padded[y : y + 12, x : x + 12] for y in range(7) for x in range(7)]
    views += [view[:, ::-1] for view in views]
    assert data.train_set[0, 0, 1][0].tobytes() in {view.tobytes() for view in views}
    assert np.array_equal(
        data.source.val.load(0, data.source.eval_crop), np.asarray(Image.open(root / "val" / "cat" / "0.png"))
    )


def test_a_resumed_epoch(tmp_path):
    cfg = digits_config(image_size=8, cache=Cache.device)
    whole = batches(ClassifierData(cfg, micro_batch=100).train_dataloader())
    loader = ClassifierData(cfg, micro_batch=100).train_dataloader()
    loader.load_state_dict({"epoch": 0, "batch": 7})
    assert same(batches(loader), whole[7:])


def small(tmp_path: Path, **changes) -> DataConfig:
    return folder_config(icons(tmp_path / "images"), image_size=12, preprocessing=Preprocessing.small, **changes)


def test_what_the_device_cannot_do_is_refused(tmp_path, monkeypatch):
    device = digits_config(image_size=8, cache=Cache.device)
    for name in ("randaugment", "random_grey", "augmix"):
        with pytest.raises(UserError, match=rf"trick {name} changes images on the host, where data\.cache=device"):
            ClassifierData(device, micro_batch=4, tricks=create([name]))
    cfg = small(tmp_path, cache=Cache.device)
    with pytest.raises(UserError, match=r"data\.cache=device is for images that are padded and cropped"):
        ClassifierData(replace(cfg, preprocessing=Preprocessing.torchvision), micro_batch=4)
    with pytest.raises(UserError, match=r"the images have 12x12 pixels, set data\.image_size to that"):
        ClassifierData(replace(cfg, image_size=16), micro_batch=4).train_dataloader()
    growing = create({"progressive": {"scale": 0.5, "multiple_of": 1}})
    with pytest.raises(UserError, match="drop tricks that change it"):
        ClassifierData(cfg, micro_batch=4, tricks=growing).train_dataloader()
    smooth_image(20, 12).save(tmp_path / "images" / "train" / "cat" / "3.png")
    with pytest.raises(UserError, match="images of one size, and two have 12x12 and 20x12 pixels"):
        ClassifierData(cfg, micro_batch=4).train_dataloader()
    monkeypatch.setattr(device_cache, "free_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"the training images take 0\.0 GB, and cpu has 0\.0 GB free"):
        ClassifierData(device, micro_batch=4).train_dataloader()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_scale": (0.5, 1.0)}, r"small pads and crops by data\.crop_pad: leave data\.crop_scale out"),
        ({"eval_crop": 0.9}, r"small scores whole images: leave data\.eval_crop"),
    ],
)
def test_keys_of_other_crops_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        ClassifierData(small(tmp_path, **changes), micro_batch=4)


def test_small_images_are_asked_for_by_one_key_of_the_command_line():
    """Where pairs of numbers come as lists."""
    config = OmegaConf.to_object(assemble.compose(["data=imagefolder", "data.preprocessing=small"]))
    train_crop, _ = crops(config.data)
    assert train_crop.keywords["border"] is Border.zeros
    changed = OmegaConf.to_object(assemble.compose(["data=imagefolder", "data.crop_scale=[0.5,1]"])).data
    with pytest.raises(UserError, match=r"leave data\.crop_scale out"):
        crops(replace(changed, preprocessing=Preprocessing.small))
