"""Where a network looks: class activation maps.

Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) by pytorch-grad-cam, of the most probable class, at the last layer
whose output is a map.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.scoring.predict import batch_of, in_file_name
from assemble.scoring.predictor import Predictor


def require_grad_cam() -> None:
    """Raise `UserError` where pytorch-grad-cam is not installed."""
    try:
        import pytorch_grad_cam  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError("eval.cam=true needs pytorch-grad-cam: pip install -e '.[cam]'") from error


def last_map(network: nn.Module, images: Tensor) -> nn.Module:
    """Return the outermost module among those whose output is the last map (N, C, H, W) of more than one place.

    Raises:
        UserError: there is none, as in a transformer of tokens.
    """
    seen: list[nn.Module] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            seen.append(module)

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise UserError("eval.cam=true: no layer of this network gives a map of the image. Leave it out")
    return seen[-1]


def activation_map(predict: Predictor, image: np.ndarray) -> np.ndarray:
    """Return how much each pixel of (H, W, 3) speaks for the most probable class: float32 (H, W) in [0, 1]."""
    from pytorch_grad_cam import GradCAM

    trained = predict.trained
    images = trained.normalised(batch_of(image).to(predict.device)).requires_grad_()  # the weights are frozen
    with GradCAM(trained.network, [last_map(trained.network, images)]) as cam:
        return cam(images, targets=None)[0]


def map_name(file: Path, source: str) -> str:
    """Name the map of an image file: after the file, and where it lies, since others have the same name elsewhere."""
    where = hashlib.sha256(os.fsencode(file.absolute())).hexdigest()[:8]
    return f"{in_file_name(file.stem)[:40]}-{where}-{source}.png"


def draw(path: Path, image: np.ndarray, strength: np.ndarray) -> None:
    """Draw the image beside itself under its map."""
    from pytorch_grad_cam.utils.image import show_cam_on_image

    pixels = np.rint(image).clip(0, 255).astype(np.uint8)
    over = show_cam_on_image(pixels.astype(np.float32) / 255, strength, use_rgb=True)
    Image.fromarray(np.hstack([pixels, over])).save(path)
