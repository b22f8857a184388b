"""Images read before anything is done with them: which of them are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import PIL

from assemble.atomic import alone, write_whole
from assemble.data.decode import DECODER, BadImageError, ImageFile, Reading
from assemble.data.places import Place, Places
from assemble.data.scan import in_words
from assemble.data.splits import OnDisk, digest_of
from assemble.devices import cores
from assemble.errors import UserError
from assemble.paths import printable, user_cache
from assemble.progress_bar import bar
from assemble.ranks import secondary_rank

CHUNK = 1024
"""Files that are begun with before the first of them is asked for: what an interrupt waits for."""
NAMED, FEW = 20, 5
"""Bad images that are named in an error, and in a line of a summary."""


def damaged(places: Places, count: int, look: Callable[[Place], object], what: str) -> dict[int, str]:
    """Return index -> reason of those places that ``look`` calls `BadImageError`, looked at by a thread for each core.

    Raises:
        UserError: of ``look``.
    """
    found: dict[int, str] = {}

    def reason(index: int) -> str:
        try:
            look(places[index])
        except BadImageError as error:
            return str(error)
        return ""

    # Quick ones are not worth a bar.
    with ThreadPoolExecutor(cores()) as pool, bar(what, "image", total=count, delay=2) as progress:
        for start in range(0, count, CHUNK):
            part = range(start, min(start + CHUNK, count))
            found.update({index: text for index, text in zip(part, pool.map(reason, part), strict=True) if text})
            progress.update(len(part))
    return found


def left_out(folders: Sequence[OnDisk]) -> list[str]:
    """Say of each folder what was not taken from it: files that are no images, and bad images."""
    lines = []
    for folder in folders:
        kinds = in_words(folder.left_out)
        names = [f"{path} ({reason})" for path, reason in folder.bad.items()]
        more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
        bad = f"{len(names):,} bad: {', '.join(names[:FEW])}{more}" if names else ""
        lines += [printable(f"{folder.name}: {'; '.join(filter(None, [kinds, bad]))}")] if kinds or bad else []
    return lines


def check_headers(folders: Sequence[OnDisk]) -> None:
    """Read the header and the end of every image (``data.verify``), on the first of several processes.

    Raises:
        UserError: some are damaged; names them.
    """
    if secondary_rank():
        return
    bad = [f"{path} ({reason})" for folder in folders for path, reason in folder.bad_headers().items()]
    if bad:
        count = sum(len(folder.files) for folder in folders)
        more = f" and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
        raise UserError(
            f"{len(bad):,} of {count:,} images cannot be read: {', '.join(bad[:NAMED])}{more}. Replace them, remove "
            "them, or set data.on_bad_image=skip"
        )


ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG\r\n": b"IEND\xaeB`\x82"}
"""How a JPEG and a PNG begin -> how they end, where nothing is cut off."""


def read_ends(place: Place, reading: Reading) -> None:
    """Tell a damaged image by its header and its end, which most JPEGs and PNGs show; others are decoded.

    Raises:
        BadImageError: it has no header, or is cut off.
        UserError: it cannot be read from the disk.
    """
    head, tail = place.ends()
    if any(head.startswith(begin) and tail.endswith(end) for begin, end in ENDS.items()):
        with suppress(BadImageError):
            ImageFile(head, reading)
            return
    decode_small(place, reading)


def decode_small(place: Place, reading: Reading) -> None:
    """Decode a whole image, to as few pixels as its format allows: what is damaged at all is damaged then, too.

    Raises:
        BadImageError: it is.
        UserError: it cannot be read from the disk.
    """
    ImageFile(place.read(), reading).decode(1, 1)


def remembered(
    find: Callable[[], dict[str, str]], files: np.ndarray, stats: np.ndarray, reading: Reading
) -> dict[str, str]:
    """Return what ``find`` finds in files, kept in the user's cache while these, the decoders and their options stay.

    Of several processes that ask at once one finds it for all.

    Raises:
        UserError: the cache cannot be written.
    """
    decoders = f"{PIL.__version__} {DECODER} {reading}"
    key = digest_of(files, stats, np.frombuffer(decoders.encode(), np.uint8))
    path = user_cache() / "bad_images" / f"{key}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.with_suffix(".lock")):
            if not path.is_file():
                write_whole(path, json.dumps(find(), indent=2) + "\n")
            return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"data.on_bad_image=skip keeps what it finds in {path.parent}, which cannot be used ({error.strerror}): "
            "set XDG_CACHE_HOME to a folder that can"
        ) from error
