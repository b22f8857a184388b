"""The corrupted images that ``eval.corruptions`` names."""

from __future__ import annotations

from pathlib import Path

from assemble.data.class_map import chosen_classes
from assemble.data.sources import Scored
from assemble.data.splits import EvalSet
from assemble.errors import UserError
from assemble.robustness.imagenet_p import ImageNetP
from assemble.robustness.sets import CifarC, ImageNetC, OnTheFly
from assemble.schema import Corruptions, DataConfig, RobustnessConfig


def check_robustness(cfg: RobustnessConfig) -> None:
    """Raise `UserError` for settings of corruptions that nobody asked for."""
    for key in ("corruptions_root", "corruptions_extra", "corruptions_preset", "corruptions_jpeg", "frost_textures"):
        if getattr(cfg, key) and not cfg.corruptions:
            raise UserError(f"eval.{key} changes nothing without eval.corruptions: set it, or leave {key} out")


RobustnessSet = ImageNetC | CifarC | OnTheFly | ImageNetP


def open_set(cfg: RobustnessConfig, data: DataConfig, scored: Scored) -> RobustnessSet:
    """Open the corrupted images that ``eval.corruptions`` names, for a network that is scored on these images.

    Raises:
        UserError: settings that do not go together; missing, damaged or other images.
    """
    size, kind = data.scored_size, cfg.corruptions
    own = {"extra": cfg.corruptions_extra, "preset": cfg.corruptions_preset, "jpeg": cfg.corruptions_jpeg}
    if kind is Corruptions.on_the_fly:
        if cfg.corruptions_root:
            raise UserError("eval.corruptions_root is of published images: leave it out with corruptions=on_the_fly")
        return OnTheFly(EvalSet(scored.images, scored.crop), size, textures=cfg.frost_textures, **own)
    if any(own.values()) or cfg.frost_textures:
        raise UserError(
            "eval.corruptions_extra, _preset, _jpeg and eval.frost_textures are for eval.corruptions=on_the_fly: "
            "leave them out"
        )
    assert kind is not None
    if not cfg.corruptions_root:
        raise UserError(f"eval.corruptions={kind.value} needs eval.corruptions_root=DIR, the published images")
    root = Path(cfg.corruptions_root).expanduser()
    if not root.is_dir():
        raise UserError(f"eval.corruptions_root={cfg.corruptions_root} is not a folder")
    if kind is Corruptions.imagenet_c:
        return ImageNetC(root, scored.classes, size, chosen_classes(data))
    return CifarC(root, len(scored.classes), size) if kind is Corruptions.cifar_c else ImageNetP(root, size)
