"""Name -> function of every corruption."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assemble.robustness.corruptions import blur, digital, noise, weather

FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    function.__name__: function
    for function in (
        noise.gaussian_noise,
        noise.shot_noise,
        noise.impulse_noise,
        noise.speckle_noise,
        blur.defocus_blur,
        blur.glass_blur,
        blur.motion_blur,
        blur.zoom_blur,
        blur.gaussian_blur,
        weather.snow,
        weather.frost,
        weather.fog,
        weather.spatter,
        digital.brightness,
        digital.contrast,
        digital.saturate,
        digital.elastic_transform,
        digital.pixelate,
        digital.jpeg_compression,
    )
}
"""``function(x, rng, *arguments)``: uint8 (H, W, C), C = 1 or 3, to uint8 of that shape or floats, not yet clipped."""
