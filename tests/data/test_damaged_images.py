"""Six hundred images of odd formats and modes, most of them damaged: each is decoded as Pillow does, or refused."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, features

from assemble.data.decode import BadImageError, ImageFile, Reading
from assemble.data.image_files import load
from assemble.errors import UserError

COUNT = 600


def oriented(rng: np.random.Generator) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = int(rng.integers(0, 10))
    return exif.tobytes()


JPEGS: list[dict[str, Any]] = [
    *({}, {"progressive": True}, {"subsampling": 0}, {"quality": 10}, {"restart_marker_rows": 1}, {"exif": oriented}),
]
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate")
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    *(("JPEG", mode, options) for mode in ("RGB", "L", "CMYK", "YCbCr") for options in JPEGS * 2),
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    ("PNG", "P", {"transparency": bytes(range(16))}),
    *(
        ("TIFF", mode, {"compression": compression})
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F", "YCbCr")
        for compression in COMPRESSIONS
    ),
    *(("PPM", mode, {}) for mode in ("1", "L", "RGB", "I", "F")),
    *(("BMP", mode, {}) for mode in ("1", "L", "RGB", "RGBA")),
    *(("GIF", mode, {}) for mode in ("L", "P", "RGB")),
    *((ending, "RGB", {"save_all": True}) for ending in ("GIF", "PNG", "TIFF", "WEBP")),
    *(("WEBP", "RGB", options) for options in ({}, {"lossless": True}, {"exif": oriented})),
    *((ending, "RGB", {}) for ending in ("TGA", "PCX", "SGI", "IM", "EPS", "PDF", "MPO", "DDS")),
    *(("JPEG2000", mode, {}) for mode in ("RGB", "L", "RGBA", "I;16") if features.check("jpg_2000")),
    *(("AVIF", mode, {}) for mode in ("RGB", "RGBA") if "avif" in features.modules and features.check("avif")),
    *((ending, "RGBA", {}) for ending in ("ICO", "ICNS")),
]


def whole(rng: np.random.Generator) -> bytes:
    """An image of a few pixels."""
    ending, mode, options = KINDS[int(rng.integers(len(KINDS)))]
    width, height = (int(side) for side in rng.integers(1, 90, 2))
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grey = np.asarray(image.convert("L")).astype(np.int32)
    if mode in ("I", "I;16"):
        values = grey * int(rng.choice([255, 1023, 4095, 65535])) // 255
        image = Image.fromarray(values if mode == "I" else values.astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray((grey / 255 * int(rng.choice([1, 1, 255, -1]))).astype(np.float32))
    elif mode == "P":
        image = image.quantize(16)
    else:
        image = image.convert(mode)
    options = {key: value(rng) if callable(value) else value for key, value in options.items()}
    if options.get("save_all"):
        options["append_images"] = [image.transpose(Image.Transpose.ROTATE_180)]
    file = io.BytesIO()
    image.save(file, ending, **options)
    return file.getvalue()


def damaged(file: bytes, rng: np.random.Generator) -> bytes:
    """The file with a few bytes wrong, missing or too many; one in ten as it was."""
    data, at, count = bytearray(file), int(rng.integers(len(file))), int(rng.integers(1, 50))
    how = int(rng.integers(10))
    if how in (0, 1):
        del data[at:]
    elif how in (2, 3, 4):
        first = 64 if how == 4 else len(data)  # most of the header
        for place in rng.integers(min(first, len(data)), size=count % 8 + 1):
            data[place] = int(rng.integers(256))
    elif how == 5:
        data[at:at] = rng.bytes(count)
    elif how == 6:
        del data[at : at + count]
    elif how == 7:
        data[at : at + count] = bytes(len(data[at : at + count]))
    elif how == 8:
        data += rng.bytes(count)
    return bytes(data)


def by_pillow(data: bytes, turn: bool) -> np.ndarray:
    """What Pillow makes of it, and of greys of more than eight bits what is documented; any error where it fails."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        scaled = image.format in ("PPM", "JPEG2000")
        if turn:
            image = ImageOps.exif_transpose(image)
        if image.mode == "F" or image.mode.startswith("I"):
            values = np.asarray(image).astype(np.float64)
            whites = [1] if image.mode == "F" else [65535] if scaled else [255, 4095, 65535]
            white = next(white for white in whites if values.min() >= 0 and values.max() <= white)
            return np.rint(values * 255 / white).astype(np.uint8)[..., None].repeat(3, 2)
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return np.asarray(image.convert("RGB"))


def result(decode: Callable[[], np.ndarray], refusals: type[Exception]) -> np.ndarray | None:
    """The pixels; None where it is refused. Anything else that is raised passes: there is to be no traceback."""
    try:
        return decode()
    except refusals:
        return None


@pytest.mark.filterwarnings("ignore")  # Pillow's
def test_each_is_decoded_as_pillow_does_or_refused_in_one_line(tmp_path: Path):
    rng, outcomes = np.random.default_rng(20261127), Counter()
    for number in range(COUNT):
        data, turn = damaged(whole(rng), rng), bool(rng.random() < 0.3)
        expected = result(lambda data=data, turn=turn: by_pillow(data, turn), Exception)
        reading = Reading(exif_orientation=turn)
        found = result(lambda data=data, reading=reading: ImageFile(data, reading).decode().copy(), BadImageError)
        verified = result(lambda data=data, reading=reading: ImageFile(data, reading).decode(1, 1), BadImageError)
        assert (found is None) == (expected is None) == (verified is None), number
        if found is None:
            (tmp_path / "x.png").write_bytes(data)
            with pytest.raises(UserError, match=r"^cannot read the image [^\n]*: replace it, or remove it [^\n]*$"):
                load(tmp_path / "x.png", lambda image: image.decode(), reading)
        else:
            assert np.array_equal(found, expected), number
        outcomes["refused" if found is None else "decoded"] += 1
    assert min(outcomes["refused"], outcomes["decoded"]) > COUNT // 5, outcomes
