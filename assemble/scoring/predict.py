"""What is in a few image files: the classes that a network finds most probable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assemble.data.scan import EXTENSIONS, IMAGE, entries, kind
from assemble.errors import UserError
from assemble.scoring.predictor import Predictor


def image_files(named: Sequence[str]) -> tuple[list[Path], Counter[str]]:
    """List the files named, and those in the folders named; count what else is in those (`assemble.data.scan`).

    Raises:
        UserError: there is no such file, or no image in a folder.
    """
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    for path in (Path(name).expanduser() for name in named):
        if path.is_dir():
            kinds = [(kind(entry), path / entry.name) for entry in entries(path)]
            found = sorted(file for what, file in kinds if what == IMAGE)
            left_out.update(what for what, _ in kinds if what != IMAGE)
        else:
            found = [path] if path.is_file() else []
        if not found:
            what = f"no images ({', '.join(EXTENSIONS)}) in" if path.is_dir() else "no image"
            raise UserError(f"eval.predict: there is {what} {path}")
        files += found
    return files, left_out


def in_file_name(text: str) -> str:
    """Return a text with nothing in it that has a meaning in file names."""
    return "".join(c if c.isalnum() or c in "-_.+" else "-" for c in text)


def batch_of(image: np.ndarray) -> Tensor:
    """Turn an image (H, W, 3) into a batch (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image)).movedim(-1, 0)[None]


def most_probable(
    predict: Predictor, image: np.ndarray, names: Sequence[str], count: int = 5
) -> list[tuple[str, float]]:
    """Return (class, probability in percent), the most probable first."""
    shares, places = predict(batch_of(image))[0].softmax(0).topk(min(count, len(names)))
    return [(names[int(place)], 100 * float(share)) for place, share in zip(places, shares, strict=True)]
