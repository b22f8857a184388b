"""Decoding, against Pillow and limiting cases."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from torchvision.datasets import ImageFolder

from assemble.data import decode as images
from assemble.data import folders, sources
from assemble.data.decode import BadImageError, ImageFile, Reading
from assemble.data.tensorflow_crops import central_crop, distorted_crop
from assemble.data.torchvision_crops import center_crop_resize, random_resized_crop
from assemble.errors import UserError
from assemble.schema import DataConfig


def encode(image: Image.Image, ending: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, ending, **options)
    return file.getvalue()


def decode(*arguments, **options) -> np.ndarray:
    return ImageFile(encode(*arguments, **options)).decode()


def photo(width: int = 61, height: int = 43) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}, {"quality": 30}]
)
def test_jpegs_have_the_pixels_that_pillow_finds(mode, options):
    file = encode(photo().convert(mode), "JPEG", **options)
    image = ImageFile(file)
    assert (image.width, image.height) == (61, 43)
    with Image.open(io.BytesIO(file)) as theirs:
        assert np.array_equal(image.decode(), np.asarray(theirs.convert("RGB")))


def test_a_jpeg_decoded_small_has_the_pixels_of_pillows_draft():
    file = encode(photo(480, 320), "JPEG")
    for factor in (2, 4, 8):
        with Image.open(io.BytesIO(file)) as theirs:
            theirs.draft("RGB", (480 // factor, 320 // factor))
            assert np.array_equal(ImageFile(file).decode(480 // factor, 320 // factor), np.asarray(theirs))


@pytest.mark.parametrize("least", [(0, 0), (61, 43), (30, 21), (30, 22), (15, 10), (8, 5), (7, 1)])
def test_without_simplejpeg_the_pixels_are_the_same(least, monkeypatch):
    """It is an optional dependency, and must change nothing but the time."""
    file = encode(photo(), "JPEG")
    fast = ImageFile(file).decode(*least).copy()
    monkeypatch.setattr(images, "simplejpeg", None)
    assert np.array_equal(ImageFile(file).decode(*least), fast)
    assert min(fast.shape[:2]) >= min(least)


@pytest.mark.parametrize("size", [(61, 43), (40, 131), (33, 96)])
@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {}), ("RGB", {"subsampling": 0}), ("RGB", {"subsampling": 1}), ("RGB", {"restart_marker_rows": 1}),
     ("L", {}), ("RGB", {"progressive": True})],
)  # fmt: skip
def test_the_upper_rows_of_a_image_that_is_not_decoded_to_its_end(mode, options, size):
    image = ImageFile(encode(photo(*size).convert(mode), "JPEG", quality=90, **options))
    whole, heights = image.decode().copy(), set()
    for rows in range(1, size[1] + 1):
        part = image.decode(rows=rows)
        assert np.array_equal(part[:rows], whole[:rows]), rows
        heights.add(len(part))
    assert (min(heights) < size[1]) == (not options.get("progressive")), "nothing is saved"


def test_a_truncated_image_is_noticed_above_its_end_too():
    whole = encode(photo(61, 200), "JPEG")
    with pytest.raises(BadImageError, match="truncated"):
        ImageFile(whole[: len(whole) * 3 // 4]).decode(rows=20)


def test_the_crops_own_their_memory():
    """A decoded JPEG is valid until the next one; what a crop returns must stay."""
    first, second = (ImageFile(encode(Image.new("RGB", (32, 32), colour), "JPEG")) for colour in ("red", "blue"))
    rng = np.random.default_rng(0)
    whole = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0}
    for crop in (
        lambda p: random_resized_crop(p, rng, 32, **whole),
        lambda p: distorted_crop(p, rng, 32, **whole),
        lambda p: center_crop_resize(p, size=32, short=32),
        lambda p: central_crop(p, size=32, short=32),
    ):
        kept = crop(first)
        before = kept.copy()
        crop(second)
        assert np.array_equal(kept, before)


def test_a_jpeg_with_a_harmless_flaw_is_decoded_and_a_truncated_one_is_not():
    whole = encode(photo(), "JPEG")
    flawed = whole[:-2] + b"12345" + whole[-2:]  # bytes before the end marker
    assert np.array_equal(ImageFile(flawed).decode(), ImageFile(whole).decode())
    with pytest.raises(BadImageError, match="truncated"):
        ImageFile(whole[: len(whole) // 2]).decode()


@pytest.mark.parametrize(
    ("kind", "largest"), [(np.int32, 255), (np.uint16, 255), (np.int32, 4095), (np.uint16, 4095), (np.int32, 65535)]
)
def test_white_is_the_largest_number_of_the_fewest_bits(kind, largest):
    """Files of 32 bits with values of 8, and of 16 bits with values of 12, do not become black."""
    values = np.array([[0, largest // 5, largest]], kind)
    assert decode(Image.fromarray(values), "TIFF")[0, :, 0].tolist() == [0, 51, 255]


def test_white_may_be_said():
    """So that dark images stay darker than others."""
    for values in (np.array([[0, 51, 255]], np.uint16), np.array([[0, 51, 255]], np.float32)):
        file = encode(Image.fromarray(values), "TIFF")
        assert ImageFile(file, Reading(white=510)).decode()[0, :, 0].tolist() == [0, 26, 128]
        with pytest.raises(BadImageError, match=r"not all in \[0, 254\]: set data.white"):
            ImageFile(file, Reading(white=254)).decode()


def test_a_file_that_says_what_is_white_is_believed():
    """A PGM has it in its header, a TIFF of 12 bits in a tag: a dark image stays dark."""
    pgm = b"P5 3 1 4095 " + np.array([0, 16, 160], ">u2").tobytes()
    assert ImageFile(pgm).decode()[0, :, 0].tolist() == [0, 1, 10]
    tags = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 6)]
    samples = bytes([0x00, 0x01, 0x00, 0x0A, 0x00, 0xFF])  # 0, 256, 160, 255 in 12 bits each
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    tiff = struct.pack("<2sHI", b"II", 42, 14) + samples + struct.pack("<H", len(tags)) + directory + bytes(4)
    image = ImageFile(tiff)
    assert image.opened is not None
    assert image.opened.mode == "I;16"
    assert image.decode()[0, :, 0].tolist() == [0, 16, 10, 16]


ORIENTED = [(ending, orientation) for ending in ("JPEG", "PNG", "WEBP", "TIFF") for orientation in range(1, 9)]


@pytest.mark.parametrize(("ending", "orientation"), ORIENTED)
def test_images_are_turned_as_exif_says_where_that_is_asked_for(ending, orientation):
    """As Pillow does it; by default as torchvision, which takes the pixels as Pillow gives them."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = encode(photo(), ending, exif=exif)
    with Image.open(io.BytesIO(file)) as theirs:
        expected = {True: ImageOps.exif_transpose(theirs).convert("RGB"), False: theirs.convert("RGB")}
    for asked in (True, False):
        image = ImageFile(file, Reading(exif_orientation=asked))
        for least in (0, 5):
            found = image.decode(least, least, rows=3) if asked and orientation > 1 else image.decode()
            assert np.array_equal(found, expected[asked])
            assert (image.width, image.height) == expected[asked].size


def test_exif_data_that_cannot_be_read_turn_nothing():
    file = encode(photo(), "JPEG", exif=b"Exif\0\0damaged")
    assert np.array_equal(ImageFile(file, Reading(exif_orientation=True)).decode(), ImageFile(file).decode())


@pytest.mark.parametrize("with_simplejpeg", [True, False])
def test_images_of_too_many_pixels_are_refused_by_their_header(with_simplejpeg, monkeypatch):
    """Both decoders have Pillow's limit. A JPEG of 1 KiB took twenty seconds."""
    if not with_simplejpeg:
        monkeypatch.setattr(images, "simplejpeg", None)
    file = bytearray(encode(photo(), "JPEG"))
    frame = file.index(b"\xff\xc0")
    file[frame + 5 : frame + 9] = (20000).to_bytes(2, "big") * 2
    with pytest.raises(BadImageError, match="it has more than the 178,956,970 pixels that are decoded"):
        ImageFile(bytes(file))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 61 * 43 // 2)
    with pytest.raises(BadImageError, match="more than the 2,622 pixels"):
        ImageFile(encode(photo(), "JPEG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert ImageFile(bytes(file)).width == 20000


@pytest.mark.parametrize("ending", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_scaled_to_eight(ending):
    values = np.array([[0, 128, 129, 257, 32768, 65407, 65535]], np.uint16)
    grey = decode(Image.fromarray(values), ending)
    assert np.array_equal(grey, np.array([[0, 0, 1, 1, 128, 255, 255]], np.uint8)[..., None].repeat(3, 2))


def test_floats_of_zero_to_one_are_scaled_and_others_refused():
    values = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert decode(Image.fromarray(values), "TIFF")[0, :, 0].tolist() == [0, 128, 255]
    for bad in (values * 255, values - 0.5, values * np.nan):
        with pytest.raises(BadImageError, match=r"its values are not all in \[0, 1\]: set data.white, or save"):
            decode(Image.fromarray(bad), "TIFF")


def test_an_alpha_channel_is_dropped_and_palettes_resolved():
    opaque = np.asarray(photo())
    transparent = np.dstack([opaque, np.zeros(opaque.shape[:2], np.uint8)])
    assert np.array_equal(decode(Image.fromarray(transparent)), opaque)
    palette = photo().quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(decode(palette), expected)
    assert np.array_equal(decode(palette, transparency=bytes(range(16))), expected)


def folder(root: Path) -> Path:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            photo(9, 9).save(root / split / name / "0.png")
    return root


def test_a_image_whose_scale_is_unknown_is_named(tmp_path):
    bad = folder(tmp_path) / "train" / "a" / "1.tiff"
    Image.fromarray(np.full((4, 4), 200, np.float32)).save(bad)
    source = sources.open_source(DataConfig(name="imagefolder", root=str(tmp_path)))
    with pytest.raises(UserError, match=rf"cannot read the image {bad} \(its values are not all in \[0, 1\]"):
        source.train.load(1, lambda image: image.decode())


def test_an_unknown_format_is_named_without_python(tmp_path):
    bad = folder(tmp_path) / "train" / "a" / "1.png"
    bad.write_bytes(b"text")
    with pytest.raises(UserError, match=rf"cannot read the image {bad} \(its format is unknown\)"):
        sources.open_source(DataConfig(name="imagefolder", root=str(tmp_path))).train.load(1, np.asarray)


def test_sub_folders_are_read_in_torchvisions_order(tmp_path):
    folder(tmp_path)
    for name in ("a/z/1.png", "a/B/2.png", "a/B/c/0.jpg", "a/10.png", "a/b-/3.png", "b/x/.1.png", "b/.trash/2.png"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(9, 9).save(path)
    ours = folders.ImageFolder(tmp_path / "train", ["a", "b"])
    theirs = [s for s in ImageFolder(str(tmp_path / "train")).samples if "/." not in s[0]]
    assert [(ours.path(i), int(ours.labels[i])) for i in range(len(ours.labels))] == theirs
    assert len(theirs) == 7
