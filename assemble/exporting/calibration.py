"""Images of the data that a network was trained on, as it is scored on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assemble.data.sources import open_source
from assemble.data.splits import EvalSet, Source, Split
from assemble.errors import UserError
from assemble.schema import DataConfig
from assemble.scoring.rebuild import rebuilt_data


def source_of(config: Mapping[str, Any], root: str | None = None) -> Source:
    """Open the data set of a resolved configuration, as the tricks had it; ``root`` in the place of its folder.

    Raises:
        UserError: the images are not at hand, or the configuration is of another version of this project.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        data = {**rebuilt_data(config), **({"root": root} if root else {})}
        merged = OmegaConf.merge(OmegaConf.structured(DataConfig), data)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise UserError(f"its configuration is of another version of this project ({reason})") from error
    typed: Any = OmegaConf.to_object(merged)
    return open_source(typed)


def spread_over(split: Split, source: Source, count: int) -> Tensor:
    """Return at most ``count`` images at even distances (so of all classes), float32 (N, 3, H, W), 0-255 scale."""
    images = EvalSet(split, source.eval_crop)
    chosen = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    arrays = np.stack([images[int(index)][0] for index in chosen]).astype(np.float32)
    return torch.from_numpy(arrays).movedim(-1, 1).contiguous()
