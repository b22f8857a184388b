"""What is in a few image files: the classes that a network finds most probable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assemble.data.folders import EXTENSIONS
from assemble.errors import UserError
from assemble.scoring.predictor import Predictor


def image_files(named: Sequence[str]) -> list[Path]:
    """List the files named, and those in the folders named.

    Raises:
        UserError: there is no such file, or no image in a folder.
    """
    files: list[Path] = []
    for path in (Path(name).expanduser() for name in named):
        found = sorted(f for f in path.glob("[!.]*") if f.suffix.lower() in EXTENSIONS) if path.is_dir() else [path]
        if not found or not found[0].is_file():
            what = f"no images ({', '.join(EXTENSIONS)}) in" if path.is_dir() else "no image"
            raise UserError(f"eval.predict: there is {what} {path}")
        files += found
    return files


def batch_of(image: np.ndarray) -> Tensor:
    """Turn an image (H, W, 3) into a batch (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image)).movedim(-1, 0)[None]


def most_probable(
    predict: Predictor, image: np.ndarray, names: Sequence[str], count: int = 5
) -> list[tuple[str, float]]:
    """Return (class, probability in percent), the most probable first."""
    shares, places = predict(batch_of(image))[0].softmax(0).topk(min(count, len(names)))
    return [(names[int(place)], 100 * float(share)) for place, share in zip(places, shares, strict=True)]
