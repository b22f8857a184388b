"""Which crop an image gets in training and in scoring, of those that the configuration names."""

from __future__ import annotations

from functools import partial

from assemble.data.splits import Crop, RandomCrop
from assemble.data.tensorflow_crops import central_crop, distorted_crop, opencv
from assemble.data.torchvision_crops import (
    PILLOW,
    center_crop_resize,
    fit,
    pad_and_shift,
    random_resized_crop,
    squeeze,
)
from assemble.errors import UserError, require
from assemble.schema import Border, DataConfig, Interpolation, Preprocessing, TrainInterpolation

EVAL_CROP = 0.875
"""Side of the evaluation crop over the shorter side of the resized image, where nothing else is said."""


def eval_size(cfg: DataConfig) -> tuple[int, int]:
    """Return the side of the evaluation crop, and the length to which the image's shorter side is resized before."""
    size, share, short = cfg.scored_size, cfg.eval_crop, cfg.eval_resize
    require(
        (
            share is None or short is None,
            f"data.eval_crop={share} and data.eval_resize={short} both say how far images are resized before the "
            "evaluation crop: set one of them to null",
        ),
        (
            short is None or short >= size,
            f"data.eval_resize={short} is smaller than the crop of {size} pixels that is taken from it: raise it, or "
            "lower data.eval_size",
        ),
    )
    return size, short or int(size / (EVAL_CROP if share is None else share))


def crops(cfg: DataConfig) -> tuple[RandomCrop, Crop]:
    """Return the train and the eval crop of images of any size."""
    if cfg.preprocessing is Preprocessing.small:
        usual = DataConfig()
        for key in ("crop_scale", "crop_ratio", "train_interpolation"):
            value = getattr(cfg, key)
            if (tuple(value) if isinstance(value, list) else value) != getattr(usual, key):  # YAML has lists
                raise UserError(f"data.preprocessing=small pads and crops by data.crop_pad: leave data.{key} out")
        border = cfg.border or Border.zeros
        return partial(pad_and_shift, pad=cfg.crop_pad, flip=cfg.flip, border=border), eval_crop(cfg)
    if cfg.border is not None:
        raise UserError(
            f"data.border={cfg.border.value} is for data.preprocessing=small, which moves images: leave it out"
        )
    own = {"scale": cfg.crop_scale, "ratio": cfg.crop_ratio, "flip": cfg.flip}
    how = cfg.train_interpolation
    if cfg.preprocessing is Preprocessing.official:
        require(
            (
                how is TrainInterpolation.bilinear,
                f"data.preprocessing=official is bilinear: leave data.train_interpolation={how.value} out",
            )
        )
        return partial(distorted_crop, **own), eval_crop(cfg)
    drawn = how is TrainInterpolation.random
    return partial(random_resized_crop, **own, how=None if drawn else Interpolation(how.value)), eval_crop(cfg)


def eval_crop(cfg: DataConfig) -> Crop:
    """Return the crop on which an image of any size is scored."""
    size, short = eval_size(cfg)
    if cfg.preprocessing is Preprocessing.small:
        plain = (cfg.eval_crop, cfg.eval_resize, cfg.eval_squeeze, cfg.eval_interpolation)
        require(
            (
                plain == (None, None, False, Interpolation.bilinear),
                "data.preprocessing=small scores whole images: leave data.eval_crop, eval_resize, eval_squeeze and "
                "eval_interpolation out",
            )
        )
        return partial(fit, size=size)
    official = cfg.preprocessing is Preprocessing.official
    whole = cfg.eval_crop is None and cfg.eval_resize is None
    require(
        (not (cfg.eval_squeeze and official), "data.preprocessing=official crops: leave data.eval_squeeze=true out"),
        (
            whole or not cfg.eval_squeeze,
            "data.eval_squeeze=true leaves nothing to crop: set data.eval_crop and data.eval_resize to null, or "
            "data.eval_squeeze to false",
        ),
    )
    bicubic = cfg.eval_interpolation is Interpolation.bicubic
    if official:
        require((not bicubic, "data.preprocessing=official is bilinear: leave data.eval_interpolation=bicubic out"))
        opencv()  # refuses a version that would not do, before anything is loaded
        return partial(central_crop, size=size, short=short)
    how = PILLOW[cfg.eval_interpolation]
    if cfg.eval_squeeze:
        return partial(squeeze, size=size, how=how)
    return partial(center_crop_resize, size=size, short=short, how=how)
