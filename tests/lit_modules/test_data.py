"""Data sets, crops, the order of an epoch and the loaders, against torchvision, scikit-learn and limiting cases."""

import gc
import io
import math
import multiprocessing
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from assemble.bounds import check_bounds
from assemble.data import crops, digits, sources
from assemble.data.decode import ImageFile
from assemble.data.sampler import EpochSampler, eval_batches, rng_of
from assemble.data.torchvision_crops import (
    center_crop_resize,
    pad_and_shift,
    random_crop_box,
    random_flip,
    random_resized_crop,
    resize,
)
from assemble.errors import UserError
from assemble.schema import DataConfig, Interpolation, Preprocessing, ScoredSplit, TrainInterpolation
from lit_modules import datamodule
from lit_modules.datamodule import ClassifierData, collate
from tricks.base import DataTrick

CONF = Path(__file__).resolve().parents[2] / "conf" / "data"
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def smooth_image(width: int, height: int, seed: int = 0) -> Image.Image:
    """An image with structure at every scale above a few pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def png(image: Image.Image) -> ImageFile:
    """The same as a file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return ImageFile(file.getvalue())


def image_folder(root: Path, splits: tuple[str, ...] = ("train", "val"), each: int = 4) -> Path:
    """root/<split>/{cat,dog}/<i>.{jpg,png}, all images different."""
    seed = 0
    for split in splits:
        for name in ("cat", "dog"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(each):
                smooth_image(40, 30, seed := seed + 1).save(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
    return root


def folder_config(root: Path, /, **changes) -> DataConfig:
    return DataConfig(**{"name": "imagefolder", "root": str(root), "image_size": 16, **changes})


def batches(loader) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [tuple(part.clone() for part in batch) for batch in loader]


def same(a, b) -> bool:
    return len(a) == len(b) and all(
        torch.equal(s, t) for x, y in zip(a, b, strict=True) for s, t in zip(x, y, strict=True)
    )


# Crops, shifts and flips


def test_random_crop_box_is_distributed_as_torchvisions():
    from torchvision.transforms import RandomResizedCrop

    width, height, n = 120, 80, 4000
    rng = np.random.default_rng(0)
    ours = np.array([random_crop_box(width, height, SCALE, RATIO, rng) for _ in range(n)], float)
    torch.manual_seed(0)
    blank = torch.empty(3, height, width)
    theirs = np.array([RandomResizedCrop.get_params(blank, list(SCALE), list(RATIO)) for _ in range(n)], float)
    theirs = theirs[:, [1, 0, 3, 2]]  # (top, left, h, w) -> (left, top, w, h)
    for a, b in [*zip(ours.T, theirs.T, strict=True), (ours[:, 2] / ours[:, 3], theirs[:, 2] / theirs[:, 3])]:
        error = math.sqrt((a.var() + b.var()) / n)
        assert abs(a.mean() - b.mean()) < 4 * error
        assert abs(a.std() / b.std() - 1) < 0.05
        assert np.abs(np.quantile(a, [0.1, 0.5, 0.9]) - np.quantile(b, [0.1, 0.5, 0.9])).max() < 0.06 * np.ptp(b) + 1
    assert (ours[:, 0] + ours[:, 2]).max() == width  # boxes reach the border and never cross it
    assert (ours[:, 1] + ours[:, 3]).max() == height


@pytest.mark.parametrize(("width", "height"), [(1000, 20), (20, 1000), (1, 7)])
def test_random_crop_box_falls_back_to_torchvisions_central_box(width, height):
    from torchvision.transforms import RandomResizedCrop

    top, left, h, w = RandomResizedCrop.get_params(torch.empty(3, height, width), [1.0, 1.0], list(RATIO))
    assert random_crop_box(width, height, (1.0, 1.0), RATIO, np.random.default_rng(0)) == (left, top, w, h)


def test_random_resized_crop_resizes_what_torchvision_resizes():
    from torchvision.transforms.functional import resized_crop

    image = smooth_image(120, 90)
    left, top, w, h = random_crop_box(120, 90, SCALE, RATIO, np.random.default_rng(5))
    ours = random_resized_crop(png(image), np.random.default_rng(5), 24, scale=SCALE, ratio=RATIO, flip=0.0)
    theirs = np.asarray(resized_crop(image, top, left, h, w, [24, 24]))
    assert ours.shape == (24, 24, 3)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("noise", [False, True])
def test_bicubic_crops_are_torchvisions(noise):
    """To the pixel, overshoots cut off: both are Pillow's."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import resized_crop

    image = smooth_image(120, 90)
    if noise:
        image = Image.fromarray(np.random.default_rng(1).integers(0, 2, (90, 120, 3), dtype=np.uint8) * 255)
    cfg = DataConfig(name="imagefolder", flip=0.0, train_interpolation=TrainInterpolation.bicubic)
    crop, _ = crops.crops(cfg)
    for seed in range(5):
        left, top, w, h = random_crop_box(120, 90, SCALE, RATIO, np.random.default_rng(seed))
        theirs = resized_crop(image, top, left, h, w, [24, 24], InterpolationMode.BICUBIC)
        assert np.array_equal(crop(png(image), np.random.default_rng(seed), 24), np.asarray(theirs))


def test_random_interpolation_is_one_of_the_two_evenly():
    """As timm's RandomResizedCropAndInterpolation; the box and the flip are drawn as ever."""
    made = {
        how: crops.crops(DataConfig(name="imagefolder", train_interpolation=how, flip=0.0))[0]
        for how in TrainInterpolation
    }
    image, bicubic = png(smooth_image(60, 45)), 0
    for seed in range(200):
        found = {how: crop(image, np.random.default_rng(seed), 12) for how, crop in made.items()}
        alike = [np.array_equal(found[TrainInterpolation.random], found[how]) for how in list(TrainInterpolation)[:2]]
        assert any(alike)
        bicubic += alike[1]
    assert 72 < bicubic < 128  # 100 +- 4 standard deviations


def test_large_jpegs_are_decoded_small_for_bicubic_crops_too():
    file = io.BytesIO()
    smooth_image(1203, 901).save(file, "JPEG", quality=95)
    large = ImageFile(file.getvalue())
    whole = png(Image.fromarray(large.decode()))
    crop, _ = crops.crops(DataConfig(name="imagefolder", train_interpolation=TrainInterpolation.bicubic))
    for seed in range(3):
        quick, full = (crop(image, np.random.default_rng(seed), 32) for image in (large, whole))
        assert np.abs(quick.astype(int) - full).mean() < 1.5


def test_upside_down_where_it_is_asked_for():
    plain, turned = sources.open_source(DataConfig()), sources.open_source(DataConfig(vflip=0.25))
    count = 0
    for seed in range(400):
        image = plain.train.load(0, lambda i, s=seed: plain.train_crop(i, np.random.default_rng(s), 32))
        found = turned.train.load(0, lambda i, s=seed: turned.train_crop(i, np.random.default_rng(s), 32))
        assert np.array_equal(found, image) or np.array_equal(found, image[::-1])
        count += not np.array_equal(found, image)
    assert 65 < count < 135  # 100 +- 4 standard deviations


@pytest.mark.parametrize("shape", [(500, 375), (100, 224), (17, 31), (225, 90), (1, 1), (3, 300), (96, 96)])
def test_resize_is_pillows_up_to_rounding(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(pixels).resize((96, 96), Image.Resampling.BILINEAR)).astype(int)
    for ours in (resize(pixels, 96), resize(np.pad(pixels, ((5, 5), (5, 5), (0, 0)))[5:-5, 5:-5], 96)):
        assert np.abs(ours - theirs).max() <= 1
        assert abs((ours - theirs).mean()) < 0.01
        assert ours.flags.c_contiguous or shape == (96, 96)


def test_large_jpegs_are_decoded_small_without_moving_the_crop():
    file = io.BytesIO()
    smooth_image(1203, 901).save(file, "JPEG", quality=95)
    large = ImageFile(file.getvalue())
    assert large.decode(150, 110).shape == (113, 151, 3)
    assert large.decode(800, 110).shape == large.decode().shape == (901, 1203, 3)
    whole = png(Image.fromarray(large.decode()))
    for seed in range(5):
        quick, full = (
            random_resized_crop(p, np.random.default_rng(seed), 32, scale=SCALE, ratio=RATIO, flip=0.5)
            for p in (large, whole)
        )
        assert np.abs(quick.astype(int) - full).mean() < 1.5


@pytest.mark.parametrize(("width", "height"), [(97, 64), (64, 97), (50, 50), (20, 31), (300, 13)])
@pytest.mark.parametrize(("size", "share"), [(32, 0.875), (33, 0.8), (32, 1.0)])
def test_eval_crop_is_torchvisions_resize_and_center_crop(width, height, size, share):
    from torchvision.transforms import CenterCrop, Compose, Resize

    image = smooth_image(width, height)
    theirs = np.asarray(Compose([Resize(int(size / share)), CenterCrop(size)])(image)).astype(int)
    ours = center_crop_resize(png(image), size=size, short=int(size / share))
    assert ours.shape == (size, size, 3)
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA"])
def test_crops_give_three_channels_whatever_the_image_has(mode):
    image = smooth_image(40, 30).convert(mode)
    expected = np.asarray(image.convert("RGB").resize((30, 30), Image.Resampling.BILINEAR, box=(5, 0, 35, 30)))
    file = io.BytesIO()
    image.save(file, "TIFF")
    assert np.array_equal(center_crop_resize(ImageFile(file.getvalue()), size=30, short=30), expected)


def test_pad_and_shift_is_a_crop_of_the_edge_padded_image():
    image = np.array(smooth_image(9, 9))
    padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="edge")
    crops = {padded[y : y + 9, x : x + 9].tobytes(): (y, x) for y in range(7) for x in range(7)}
    rng = np.random.default_rng(0)
    seen = {crops[pad_and_shift(image, rng, 9, pad=3, flip=0.0).tobytes()] for _ in range(600)}
    assert len(seen) == 49  # every shift occurs, and nothing else
    assert np.array_equal(pad_and_shift(image, rng, 9, pad=0, flip=1.0), image[:, ::-1])
    smaller = pad_and_shift(image, rng, 5, pad=0, flip=0.0)  # at a size that is not the data's own
    assert np.array_equal(smaller, resize(image, 5))


def test_random_flip_mirrors_with_its_probability():
    image, rng = np.array(smooth_image(8, 6)), np.random.default_rng(0)
    assert np.array_equal(random_flip(image, rng, probability=0.0), image)
    assert np.array_equal(random_flip(image, rng, probability=1.0), np.flip(image, 1))
    flips = sum(random_flip(image, rng, probability=0.25) is not image for _ in range(2000))
    assert 420 < flips < 580  # 500 +- 4 standard deviations


# The order of an epoch


def triples(epoch: int = 0, **arguments) -> list:
    sampler = EpochSampler(**{"length": 50, "micro_batch": 4, "seed": 3, **arguments})
    sampler.set_epoch(epoch)
    assert len(list(sampler)) == len(sampler)
    return list(sampler)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_image_once_per_draw_and_epoch(k):
    drawn = triples(length=48, images_per_target=k)
    assert sorted(drawn) == [(0, d, i) for d in range(k) for i in range(48)]


@pytest.mark.parametrize("k", [1, 2])
def test_a_step_has_the_same_images_and_partners_for_any_number_of_ranks(k):
    def steps(world: int, accumulate: int) -> list[set]:
        """Per optimizer step, the tuples of k partners."""
        b = 16 // (world * accumulate)
        found: list[set] = [set() for _ in range(3)]  # 50 images are 3 steps of 16
        for rank in range(world):
            mine = triples(micro_batch=b, accumulate=accumulate, images_per_target=k, rank=rank, world=world)
            for number in range(len(mine) // (k * b)):
                micro = mine[number * k * b : (number + 1) * k * b]
                found[number // accumulate] |= set(zip(*(micro[h * b : (h + 1) * b] for h in range(k)), strict=True))
        return found

    reference = steps(1, 1)
    assert [len(step) for step in reference] == [16] * 3
    for world, accumulate in [(2, 1), (4, 1), (1, 2), (2, 2), (1, 16)]:
        assert steps(world, accumulate) == reference


def test_repeats_are_other_draws_of_the_same_image_in_one_step_on_several_ranks():
    """Repeated augmentation: an epoch of unchanged length sees one r-th of the images, each r times in a step."""
    whole = triples(length=48, micro_batch=12, repeats=3)
    assert len(whole) == 48
    for step in range(4):
        drawn = whole[step * 12 : (step + 1) * 12]
        images = {i for _, _, i in drawn}
        assert len(images) == 4
        assert sorted(drawn) == sorted((0, d, i) for i in images for d in range(3))
    assert len({i for _, _, i in whole}) == 16
    ranks = [triples(length=48, micro_batch=4, repeats=3, rank=rank, world=3) for rank in range(3)]
    assert sorted(chain(*ranks)) == sorted(whole)
    for rank in ranks:
        assert all(len({i for _, _, i in rank[s : s + 4]}) == 4 for s in range(0, 16, 4)), "spread over the ranks"
    both = triples(length=48, images_per_target=2, repeats=3)
    assert len(set(both)) == 96


def test_partners_are_different_images():
    drawn = triples(length=640, micro_batch=32, images_per_target=2)
    same = 0
    for start in range(0, len(drawn), 64):
        first, second = drawn[start : start + 32], drawn[start + 32 : start + 64]
        same += sum(a[2] == b[2] for a, b in zip(first, second, strict=True))
    assert same == 0


def test_epochs_and_seeds_and_draws_have_their_own_order():
    orders = [[i for _, _, i in triples(epoch, seed=seed)] for epoch in range(3) for seed in range(3)]
    both = [i for _, _, i in triples(length=48, images_per_target=2)]
    orders += [both[:48], both[48:]]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_every_epoch_may_be_the_first_one_again():
    first, again = (EpochSampler(20, 4, seed=3, same=same) for same in (False, True))
    again.set_epoch(7)
    assert list(again) == list(first)


def test_no_stream_is_used_twice():
    states = [rng_of(s, e, d, i).integers(2**62) for s in range(3) for e in range(3) for d in (0, 1) for i in range(9)]
    states += [rng_of(s, e, d).integers(2**62) for s in range(3) for e in range(3) for d in (0, 1)]
    assert len(set(states)) == len(states)


@pytest.mark.parametrize(
    ("length", "batch", "world"), [(300, 64, 1), (300, 64, 7), (65, 32, 2), (129, 32, 4), (8, 3, 8), (5, 1, 2)]
)
def test_every_image_is_scored_once_in_equally_many_batches_on_every_rank(length, batch, world):
    shards = [eval_batches(length, batch, rank, world) for rank in range(world)]
    assert sorted(i for shard in shards for part in shard for i in part) == list(range(length))
    assert len({len(shard) for shard in shards}) == 1
    assert all(1 <= len(part) <= max(batch, 2) for shard in shards for part in shard)


# Data sets


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    images, labels = digits.read_digits()
    reference = load_digits()
    assert np.array_equal(images, reference["images"])
    assert np.array_equal(labels, reference["target"])


def test_digits_are_found_through_scikit_learn_where_the_file_is_not(monkeypatch):
    expected = digits.read_digits()
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: None)
    assert all(np.array_equal(a, b) for a, b in zip(digits.read_digits(), expected, strict=True))


def test_digits_splits_are_disjoint_and_stratified():
    labels = digits.read_digits()[1]
    splits = digits.split_digits(labels)
    assert {name: len(chosen) for name, chosen in splits.items()} == {"train": 1197, "val": 300, "test": 300}
    assert sorted(np.concatenate(list(splits.values()))) == list(range(1797))
    for name in ("val", "test"):
        share = np.bincount(labels[splits[name]]) - np.bincount(labels) * 300 / 1797
        assert np.abs(share).max() < 1.01


def test_digits_are_enlarged_to_three_equal_channels_over_the_whole_range():
    source = sources.open_source(DataConfig(image_size=24))
    image = source.val.load(0, source.eval_crop)
    assert image.shape == (24, 24, 3)
    assert image.dtype == np.uint8
    assert np.ptp(image, axis=2).max() == 0
    eight = sources.open_source(DataConfig(image_size=8))  # the size they have: unchanged but for the scale
    images = digits.read_digits()[0][digits.split_digits(digits.read_digits()[1])["val"]]
    assert np.array_equal(eight.val.load(7, eight.eval_crop)[..., 0], np.round(images[7] * 255 / 16))


def test_folder_is_read_as_torchvision_reads_it(tmp_path):
    from torchvision.datasets import ImageFolder

    image_folder(tmp_path, ("train", "val", "test"))
    (tmp_path / "train" / "cat" / "._0.jpg").write_bytes(b"not an image")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / ".cache").mkdir()
    source = sources.open_source(folder_config(tmp_path))
    assert source.classes == ["cat", "dog"]
    for name in ("val", "test"):
        split, theirs = getattr(source, name), ImageFolder(str(tmp_path / name))
        assert [(split.path(i), int(split.labels[i])) for i in range(len(split.labels))] == theirs.samples
    assert [Path(source.train.path(i)).name for i in range(8)] == ["0.jpg", "1.png", "2.jpg", "3.png"] * 2
    whole = source.train.load(1, lambda image: image.decode())
    assert np.array_equal(whole, np.asarray(Image.open(tmp_path / "train" / "cat" / "1.png")))


def test_test_is_val_without_a_test_folder_and_val_may_lack_classes(tmp_path):
    image_folder(tmp_path)
    for file in (tmp_path / "val" / "cat").iterdir():
        file.unlink()
    (tmp_path / "val" / "cat").rmdir()
    source = sources.open_source(folder_config(tmp_path))
    assert source.test is source.val
    assert source.val.labels.tolist() == [1] * 4  # dog keeps its number


def break_nothing(root: Path) -> None: ...


def remove(*parts: str):
    def action(root: Path) -> None:
        folder = root.joinpath(*parts)
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()

    return action


def make(*parts: str):
    return lambda root: root.joinpath(*parts).mkdir(parents=True)


@pytest.mark.parametrize(
    ("action", "changes", "message"),
    [
        (break_nothing, {"root": None}, r"data=imagefolder needs data\.root=DIR"),
        (
            break_nothing,
            {"root": "nowhere"},
            r"data\.root=nowhere is not a folder, and no archive: expected DIR/train/<class>",
        ),
        (remove("train"), {}, r"has no train/ folder .*expected DIR/train/<class>"),
        (remove("val"), {}, r"has no val/ folder .*expected DIR/train/<class>/\*\.jpg and DIR/val/<class>"),
        (make("train", "bird"), {}, r"train/bird has no images \(\.jpg, .*\): add some, or remove the folder"),
        (make("val", "bird"), {}, r"val/bird is no class of the training images"),
        (lambda r: [remove("val", c)(r) for c in ("cat", "dog")], {}, r"val has no class folders: expected DIR/train"),
        (break_nothing, {"name": "imagenet"}, r"expects 1000 class folders in .*train, found 2: use data=imagefolder"),
        (
            break_nothing,
            {"name": "imagefoldr"},
            r"unknown data set 'imagefoldr'\. Did you mean 'imagefolder'\? Available",
        ),
        (break_nothing, {"image_size": 0}, r"data\.image_size must be at least 1, not 0"),
        (break_nothing, {"num_workers": -1}, r"data\.num_workers must be at least 0, not -1"),
        (break_nothing, {"flip": 50.0}, r"data\.flip must be at least 0 and at most 1, not 50"),
        (
            break_nothing,
            {"crop_scale": (0.5, 0.1)},
            r"data\.crop_scale must be 2 rising numbers, .* not \[0\.5, 0\.1\]",
        ),
        (
            break_nothing,
            {"crop_ratio": (0.0, 1.0)},
            r"data\.crop_ratio must be 2 rising numbers, each above 0, not \[0\.0, 1\.0\]",
        ),
        (break_nothing, {"crop_pad": -2}, r"data\.crop_pad must be at least 0, not -2"),
        (break_nothing, {"eval_crop": 0.0}, r"data\.eval_crop must be above 0 and at most 1, or null, not 0"),
        (break_nothing, {"eval_size": 0}, r"data\.eval_size must be at least 1, or null, not 0"),
        (break_nothing, {"eval_crop": 0.9, "eval_resize": 20}, r"eval_crop=0\.9 and data\.eval_resize=20 both say"),
        (break_nothing, {"eval_squeeze": True, "eval_crop": 0.9}, r"eval_squeeze=true leaves nothing to crop"),
        (break_nothing, {"eval_size": 24, "eval_resize": 20}, r"eval_resize=20 is smaller than the crop of 24 pixels"),
    ],
)
def test_mistakes_are_answered_in_one_line(tmp_path, action, changes, message):
    action(image_folder(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        ClassifierData(folder_config(tmp_path, **changes), micro_batch=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"text", lambda b: b""])
@pytest.mark.parametrize("file", ["0.jpg", "1.png"])
def test_an_unreadable_image_is_named(tmp_path, damage, file):
    bad = image_folder(tmp_path) / "train" / "dog" / file
    bad.write_bytes(damage(bad.read_bytes()))
    data = ClassifierData(folder_config(tmp_path), micro_batch=2)
    with pytest.raises(UserError, match=f"cannot read the image .*train/dog/{file} .*: replace it, or remove it"):
        batches(data.train_dataloader())


def test_an_unreadable_image_is_named_by_a_worker(tmp_path, monkeypatch):
    # How long torch waits for a worker that has raised, before it ends it: 5 s.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    bad = image_folder(tmp_path) / "val" / "cat" / "2.jpg"
    bad.write_bytes(b"text")
    data = ClassifierData(folder_config(tmp_path, num_workers=1), micro_batch=2)
    with pytest.raises(UserError) as caught:
        batches(data.val_dataloader())
    last = str(caught.value).rpartition("UserError: ")[2]
    assert last.startswith(f"cannot read the image {bad}")
    del caught  # and with its traceback the loader, within this test
    gc.collect()


def test_a_failing_crop_is_not_blamed_on_the_image(tmp_path):
    source = sources.open_source(folder_config(image_folder(tmp_path)))
    with pytest.raises(ZeroDivisionError):
        source.train.load(0, lambda image: 1 // 0)


# The data module


def test_configs_merge_onto_the_schema_and_name_a_source():
    for file in sorted(CONF.glob("*.yaml")):
        cfg = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(DataConfig), OmegaConf.load(file)))
        assert isinstance(cfg, DataConfig)
        assert cfg.name == file.stem
        assert cfg.name in sources.SOURCES
        check_bounds(cfg)
        assert file.read_text().startswith("# ")


def digits_config(**changes) -> DataConfig:
    file = OmegaConf.load(CONF / "digits.yaml")
    cfg = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(DataConfig), file, changes))
    assert isinstance(cfg, DataConfig)
    return cfg


def test_digits_yaml_has_the_statistics_of_the_training_images():
    cfg = digits_config()
    images = sources.open_source(cfg).train.images.astype(float)  # type: ignore[attr-defined]
    assert cfg.mean == pytest.approx([images.mean()] * 3, abs=0.01)
    assert cfg.std == pytest.approx([images.std()] * 3, abs=0.01)


def test_attributes_are_known_without_a_trainer():
    data = ClassifierData(digits_config(), micro_batch=16, accumulate=2)
    assert (data.num_classes, data.train_size) == (10, 1197)
    assert data.classes == [str(c) for c in range(10)]
    assert [data.steps_per_epoch(world) for world in (1, 2, 4)] == [37, 18, 9]
    assert len(data.train_dataloader()) == 37 * 2


def test_images_per_target_keeps_the_number_of_steps():
    plain, double = (ClassifierData(digits_config(), micro_batch=64, images_per_target=k) for k in (1, 2))
    assert len(plain.train_dataloader()) == len(double.train_dataloader()) == 18
    images, labels, _ = next(iter(double.train_dataloader()))
    assert (len(images), len(labels)) == (128, 128)


def test_a_batch_larger_than_the_data_set_is_refused():
    data = ClassifierData(digits_config(), micro_batch=600)
    assert data.steps_per_epoch() == 1
    with pytest.raises(UserError, match=r"data\.batch_size=1200 is more than the 1197 training images"):
        data.steps_per_epoch(2)


def test_batches_are_uint8_channels_last_with_the_images_own_labels(tmp_path):
    data = ClassifierData(folder_config(image_folder(tmp_path)), micro_batch=3)
    images, labels, index = collate([data.train_set[0, 0, i] for i in (7, 0, 3)])
    assert (images.dtype, labels.dtype, index.dtype) == (torch.uint8, torch.int64, torch.int64)
    assert index.tolist() == [7, 0, 3]
    assert images.shape == (3, 3, 16, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(images[1].permute(1, 2, 0), data.train_set[0, 0, 0][0])
    assert labels.tolist() == [1, 0, 0]


def test_evaluation_gives_every_image_once_and_unchanged(tmp_path):
    data = ClassifierData(folder_config(image_folder(tmp_path, each=5)), micro_batch=2, eval_batch=4)
    found = batches(data.val_dataloader())
    assert torch.cat([labels for _, labels in found]).tolist() == [0] * 5 + [1] * 5
    assert max(len(labels) for _, labels in found) <= 4
    expected = center_crop_resize(ImageFile.read(tmp_path / "val" / "cat" / "3.png"), size=16, short=18)
    assert np.array_equal(torch.cat([images for images, _ in found])[3].permute(1, 2, 0), expected)


class Noise(DataTrick):
    """An augmentation that shows every difference of the generator."""

    name = "noise"

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (image.astype(int) + rng.integers(0, 20, image.shape)).clip(0, 255).astype(np.uint8)


def test_augment_comes_after_crop_and_flip_and_draws_from_the_images_generator(tmp_path):
    data = ClassifierData(folder_config(image_folder(tmp_path), flip=1.0), micro_batch=2, tricks=[Noise()], seed=5)
    rng = rng_of(5, 3, 1, 6)
    image = ImageFile.read(tmp_path / "train" / "dog" / "2.jpg")
    crop = random_resized_crop(image, rng, 16, scale=SCALE, ratio=(0.75, 1.3333333333333333), flip=1.0)
    assert np.array_equal(data.train_set[3, 1, 6][0], Noise().augment(crop, rng))


class Drawn(DataTrick):
    """Writes the first number that its generator gives into the image's first bytes."""

    name = "drawn"

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        image = np.ascontiguousarray(image)
        image.reshape(-1)[:8] = np.frombuffer(rng.bytes(8), np.uint8)
        return image


def test_no_augmentation_repeats_over_epochs_ranks_workers_draws_and_seeds(monkeypatch):
    """Each appearance of each image has random numbers of its own."""
    monkeypatch.setattr(datamodule, "cores", lambda: 2)
    seen: list[bytes] = []
    for seed, rank, workers in ((0, 0, 2), (0, 1, 2), (1, 0, 0)):
        data = ClassifierData(
            digits_config(num_workers=workers), micro_batch=50, images_per_target=2, tricks=[Drawn()], seed=seed
        )
        monkeypatch.setattr(data, "_place", lambda rank=rank: (rank, 2))
        loader = data.train_dataloader()
        assert loader.num_workers == workers
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            for images, *_ in loader:
                seen += [image.permute(1, 2, 0).flatten()[:8].numpy().tobytes() for image in images]
    assert len(seen) == 3 * 2 * 11 * 100
    assert len(set(seen)) == len(seen)


def test_the_number_of_workers_changes_nothing(monkeypatch):
    monkeypatch.setattr(datamodule, "cores", lambda: 2)
    loaded = []
    for workers in (0, 2):
        data = ClassifierData(digits_config(num_workers=workers), micro_batch=64, images_per_target=2, tricks=[Noise()])
        loader = data.train_dataloader()
        assert loader.num_workers == workers
        epochs = []
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)
            epochs.append(batches(loader))
        loaded.append(epochs)
    assert same(loaded[0][0], loaded[1][0])
    assert same(loaded[0][1], loaded[1][1])
    assert not same(loaded[0][0], loaded[0][1])


def test_workers_do_not_outnumber_the_cores(monkeypatch):
    monkeypatch.setattr(datamodule, "cores", lambda: 1)
    assert ClassifierData(digits_config(num_workers=8), micro_batch=64).train_dataloader().num_workers == 1


def test_loading_leaves_the_global_generators_alone():
    data = ClassifierData(digits_config(), micro_batch=64)
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    batches(data.train_dataloader())
    batches(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


class Recorder(LightningModule):
    """Keeps what the Trainer gives it."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.stop_after = stop_after
        self.seen: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def training_step(self, batch, batch_idx):
        images, labels, _ = batch
        if len(self.seen) == self.stop_after:
            raise RuntimeError("killed")
        self.seen.append((self.current_epoch, images.clone(), labels.clone()))
        return self.weight * 1.0

    def validation_step(self, batch, batch_idx): ...

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder: Path, data: ClassifierData, model: Recorder, resume: Path | None = None, epochs: int = 2, **arguments):
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        **{"enable_checkpointing": False, **arguments},
    )
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True if resume else None)
    return model.seen


def quiet(test):
    """Without Lightning's remarks on few workers and absent callbacks, and torch's on what Lightning uses."""
    for message in (".*does not have many workers", ".*LeafSpec.* is deprecated", "Be aware that when using"):
        test = pytest.mark.filterwarnings(f"ignore:{message}")(test)
    return test


def tiny_data(workers: int = 0) -> ClassifierData:
    """Five batches per epoch."""
    return ClassifierData(digits_config(image_size=8, num_workers=workers), micro_batch=200, tricks=[Noise()])


@quiet
def test_the_trainer_sets_the_epoch_and_a_resumed_run_repeats_exactly(tmp_path, monkeypatch):
    monkeypatch.setattr(datamodule, "cores", lambda: 2)
    whole = fit(tmp_path, tiny_data(), Recorder(), epochs=3)
    assert [epoch for epoch, _, _ in whole] == [0] * 5 + [1] * 5 + [2] * 5
    assert not torch.equal(whole[0][1], whole[5][1])

    saving = ModelCheckpoint(tmp_path, "end", every_n_epochs=1)
    fit(tmp_path, tiny_data(), Recorder(), epochs=1, callbacks=[saving], enable_checkpointing=True)
    rest = fit(tmp_path, tiny_data(workers=2), Recorder(), tmp_path / "end.ckpt", epochs=3)
    assert len(rest) == 10
    for a, b in zip(whole[5:], rest, strict=True):
        assert a[0] == b[0]
        assert torch.equal(a[1], b[1])
        assert torch.equal(a[2], b[2])


@quiet
@pytest.mark.parametrize(("stop", "workers"), [(3, 0), (5, 2), (7, 2)])
def test_a_run_killed_in_mid_epoch_goes_on_with_the_next_batch(tmp_path, monkeypatch, stop, workers):
    monkeypatch.setattr(datamodule, "cores", lambda: 2)
    whole = fit(tmp_path, tiny_data(), Recorder())
    saving = ModelCheckpoint(tmp_path, "step", every_n_train_steps=1, enable_version_counter=False)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, tiny_data(), Recorder(stop), callbacks=[saving], enable_checkpointing=True)
    rest = fit(tmp_path, tiny_data(workers), Recorder(), tmp_path / "step.ckpt")
    assert len(rest) == 10 - stop
    assert all(torch.equal(a[1], b[1]) for a, b in zip(whole[stop:], rest, strict=True))


def test_more_devices_than_images_to_score_is_refused(tmp_path, monkeypatch):
    data = ClassifierData(folder_config(image_folder(tmp_path)), micro_batch=1)
    monkeypatch.setattr(data, "_place", lambda: (0, 9))
    with pytest.raises(UserError, match="the val set has 8 images for 9 devices: use fewer devices"):
        data.val_dataloader()


def test_the_train_set_can_be_sent_to_a_fresh_process(tmp_path):
    """Workers are spawned, not forked, on macOS and Windows."""
    data = ClassifierData(folder_config(image_folder(tmp_path)), micro_batch=2)
    pickler = multiprocessing.reduction.ForkingPickler
    copy = multiprocessing.reduction.pickle.loads(pickler.dumps(data.train_set))
    assert np.array_equal(copy[0, 0, 3][0], data.train_set[0, 0, 3][0])


def test_bicubic_where_it_is_asked_for():
    image = smooth_image(60, 40)
    cfg = DataConfig(name="imagefolder", image_size=16, eval_resize=20, eval_interpolation=Interpolation.bicubic)
    found = crops.eval_crop(cfg)(png(image))
    expected = image.resize((30, 20), Image.Resampling.BICUBIC).crop((7, 2, 23, 18))
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1
    cfg.eval_interpolation = Interpolation.bilinear
    assert not np.array_equal(crops.eval_crop(cfg)(png(image)), found)
    official = DataConfig(name="imagefolder", preprocessing=Preprocessing.official)
    official.train_interpolation = TrainInterpolation.random
    with pytest.raises(UserError, match=r"official is bilinear: leave data\.train_interpolation=random out"):
        crops.crops(official)
    cfg.eval_interpolation, cfg.preprocessing = Interpolation.bicubic, Preprocessing.official
    with pytest.raises(UserError, match=r"official is bilinear: leave data\.eval_interpolation=bicubic out"):
        crops.eval_crop(cfg)


def test_squeezed_where_it_is_asked_for():
    image = smooth_image(60, 40)
    cfg = DataConfig(name="imagefolder", image_size=16, eval_squeeze=True)
    expected = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(crops.eval_crop(cfg)(png(image)), expected)
    cfg.preprocessing = Preprocessing.official
    with pytest.raises(UserError, match=r"official crops: leave data\.eval_squeeze=true out"):
        crops.eval_crop(cfg)


def test_scored_images_alone(tmp_path):
    """The same as of the whole data set, from a folder that has nothing else."""
    root = image_folder(tmp_path, ("train", "val", "test"))
    cfg = DataConfig(name="imagefolder", root=str(root), image_size=16)
    whole = sources.open_source(cfg)
    for split, expected in ((ScoredSplit.test, whole.test), (ScoredSplit.val, whole.val)):
        scored = sources.open_scored(cfg, split)
        assert scored.classes == whole.classes
        assert scored.images.digest() == expected.digest()
        assert np.array_equal(scored.images.load(1, scored.crop), expected.load(1, whole.eval_crop))
    for name in ("train", "test"):
        (root / name).rename(tmp_path / f"no-{name}")
    alone = sources.open_scored(cfg, ScoredSplit.test)
    assert alone.classes == ["cat", "dog"]
    assert alone.images.digest() == whole.val.digest()
    assert len(sources.open_scored(DataConfig(image_size=16), ScoredSplit.val).images.labels) == 300
    named = sources.open_scored(cfg, ScoredSplit.val, ["bee", "cat", "cow", "dog"])
    assert set(named.images.labels) == {1, 3}


def test_scored_imagenet_has_1000_classes(tmp_path):
    root = image_folder(tmp_path, ("val",))
    with pytest.raises(UserError, match="expects 1000 class folders"):
        sources.open_scored(DataConfig(name="imagenet", root=str(root)), ScoredSplit.val)
