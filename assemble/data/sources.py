"""The data sets by name. A new one is a function in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from assemble.data.class_map import chosen_classes, of_classes, positions_of, with_classes
from assemble.data.crops import eval_crop
from assemble.data.digits import digits
from assemble.data.folders import check_imagenet, imagefolder, imagenet, part_of, parts_of
from assemble.data.held_out import folded, from_train
from assemble.data.listed import listed, listed_split
from assemble.data.parts import Part
from assemble.data.splits import Crop, OnDisk, Source, Split
from assemble.data.torchvision_crops import also_upside_down
from assemble.data.train_share import reduced
from assemble.errors import UserError
from assemble.plugins import imported, provided
from assemble.schema import DataConfig, ScoredSplit
from assemble.suggest import suggest


@dataclass(frozen=True)
class Scored:
    """Images to be scored, with the names of their classes and their crop."""

    classes: list[str]
    images: Split
    crop: Crop
    split: str = "test"
    """Which images these are: without a test/, those of val/ are scored as test."""
    folders: tuple[OnDisk, ...] = ()
    """Where they lie in files."""


def open_scored(cfg: DataConfig, split: ScoredSplit, classes: list[str] | None = None) -> Scored:
    """Open the images of one split alone: folders need no train/ then, and are not searched for images of others.

    Args:
        cfg: the ``data`` part of the configuration.
        split: test or val.
        classes: names in the order of the labels, of which the images may lack some; None: those of train/ where it
            is, else the split's own.

    Raises:
        UserError: as `open_source`.
    """
    if cfg.name == "list" and not cfg._target_:
        lines = listed_split(cfg, _own_names(cfg, split), classes)
        if lines:
            return Scored(*lines, eval_crop(cfg), _called(lines[1].name, cfg), (lines[1],))
    found = _scored_part(cfg, split)
    if found:
        name, part, named = found
        chosen = chosen_classes(cfg)
        if classes and not chosen:
            positions_of(part.classes(), classes, "the network")  # refuses others
        classes = classes or chosen or named.classes()
        if cfg.name == "imagenet" and not chosen:
            check_imagenet(named, classes)
        images = part.images(classes, name, chosen).as_asked(cfg)
        return Scored(classes, images, eval_crop(cfg), _called(name, cfg), (images,))
    source = open_source(cfg)
    source = with_classes(source, classes, "the network") if classes else source
    if split is ScoredSplit.test:
        return Scored(source.classes, source.test, source.eval_crop, source.scored_split, source.folders)
    return Scored(source.classes, source.val, source.eval_crop, "val", source.folders)


def _called(name: str, cfg: DataConfig) -> str:
    """Return what the images of a split are: with ``data.val_share`` or folds nothing is chosen on those of val/."""
    return "val" if name == "val" and not from_train(cfg) else "test"


def _own_names(cfg: DataConfig, split: ScoredSplit) -> list[str]:
    """Return which images a split may be, the first that are there, where none are taken from those of train/."""
    return ["test", "val"] if split is ScoredSplit.test else [] if from_train(cfg) else ["val"]


def _scored_part(cfg: DataConfig, split: ScoredSplit) -> tuple[str, Part, Part] | None:
    """Return what has the images of one split alone: its name, itself, and what names the classes.

    Labels are positions among the classes that were trained, where these are known.
    """
    if cfg._target_ or SOURCES.get(cfg.name) not in (imagefolder, imagenet) or not cfg.root:
        return None
    parts = parts_of(cfg)
    found = next((name for name in _own_names(cfg, split) if name in parts), None)
    if found is None:
        if not from_train(cfg):
            part_of(parts, "val", cfg)  # whose absence is told
        return None
    return found, parts[found], parts.get("train", parts[found])


def small(cfg: DataConfig) -> Source:
    """Open one of torchvision's data sets of small images."""
    from assemble.data.small import open_small

    return open_small(cfg)


def fgvc(cfg: DataConfig) -> Source:
    """Open one of torchvision's fine-grained data sets."""
    from assemble.data.fgvc import open_fgvc

    return open_fgvc(cfg)


def hf(cfg: DataConfig) -> Source:
    """Open a data set in the form of Hugging Face's library."""
    from assemble.data.hugging_face import open_hf

    return open_hf(cfg)


SMALL = ("cifar100", "svhn", "mnist", "fashion_mnist")
FGVC = ("food101", "stanford_cars", "flowers102", "fgvc_aircraft", "oxford_pets")
SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "digits": digits,
    "cifar10": small,
    "imagefolder": imagefolder,
    "imagenet": imagenet,
    "imagenet21k": imagefolder,
    "list": listed,
    **dict.fromkeys(SMALL, small),
    "hf": hf,
    **dict.fromkeys(FGVC, fgvc),
}
FOLDERS = frozenset(
    {
        "root",
        "crop_pad",
        "border",
        "preprocessing",
        "crop_scale",
        "crop_ratio",
        "train_interpolation",
        "eval_crop",
        "eval_resize",
        "eval_squeeze",
        "eval_interpolation",
    }
    | {"exif_orientation", "white", "verify", "on_bad_image"}
)
KEPT = frozenset({"cache_dir", "cache_limit"})
HELD_OUT = frozenset({"val_share", "val_share_seed"})
ARRAYS = frozenset({"root", "download", "crop_pad", "border"}) | HELD_OUT
OWN_KEYS = {
    "digits": frozenset({"crop_pad", "border"}),
    "cifar10": ARRAYS,
    "imagefolder": FOLDERS | HELD_OUT | KEPT,
    "imagenet": FOLDERS | HELD_OUT | KEPT,
    "imagenet21k": FOLDERS | HELD_OUT | KEPT,
    "list": FOLDERS | HELD_OUT | KEPT,
    **dict.fromkeys(SMALL, ARRAYS),
    "hf": FOLDERS | HELD_OUT | KEPT,
    **dict.fromkeys(FGVC, FOLDERS | KEPT | {"download"}),
}
"""Keys of `DataConfig` that only some data sets read, by data set; the others are for all of them."""


def open_source(cfg: DataConfig) -> Source:
    """Open the data set that ``data.name`` says, with the fold and the share of it to train on that are asked for."""
    return reduced(folded(open_whole(cfg), cfg), cfg)


def open_whole(cfg: DataConfig) -> Source:
    """Open the data set that ``data._target_`` or ``data.name`` says, with those classes that are chosen.

    Raises:
        UserError: there is none of that name, it lacks something, or the user's function fails or returns no `Source`.
    """
    source = _opened(cfg)
    if cfg.vflip:
        source = replace(source, train_crop=partial(also_upside_down, crop=source.train_crop, probability=cfg.vflip))
    chosen = chosen_classes(cfg)
    return of_classes(source, chosen) if chosen else source


def _opened(cfg: DataConfig) -> Source:
    """Open one of our data sets, or of the user's."""
    others = provided("data")
    own = None if cfg._target_ else SOURCES.get(cfg.name)
    if own:
        if cfg.args:
            raise UserError(f"data={cfg.name} takes no data.args: leave them out")
        return own(cfg)
    if cfg._target_:
        called, function = f"data._target_={cfg._target_}", imported(cfg._target_, f"data._target_={cfg._target_}")
    elif cfg.name in others:
        called, function = f"data={cfg.name}", others[cfg.name].load()
    else:
        raise UserError(suggest("data set", cfg.name, [*SOURCES, *others]))
    if not callable(function):
        raise UserError(
            f"{called} is a {type(function).__name__}, and no function of a DataConfig that returns a Source"
        )
    try:
        source = function(cfg, **cfg.args)
    except UserError:
        raise
    except Exception as error:  # whatever that code meets; the traceback goes along as the cause
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{called} cannot be opened ({reason}): see data.args and data.root") from error
    if not isinstance(source, Source):
        raise UserError(
            f"{called} returns a {type(source).__name__}, and no Source (assemble.data.splits): return its classes, "
            "splits and crops"
        )
    return source
