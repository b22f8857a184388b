"""A trained network -> ``evaluation.json``, tables and images, in a folder named after what was evaluated.

What is in the folder already is not computed again.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assemble.bounds import check_bounds
from assemble.data.crops import eval_crop
from assemble.data.decode import Reading
from assemble.data.image_files import load
from assemble.data.scan import in_words
from assemble.data.sources import Scored, open_scored
from assemble.data.splits import EvalSet
from assemble.data.verify import check_headers, left_out
from assemble.devices import device_of
from assemble.errors import UserError, require
from assemble.paths import printable
from assemble.plugins import called
from assemble.progress_bar import bar
from assemble.robustness.choice import check_robustness
from assemble.runs.directory import lock
from assemble.runs.environment import describe_environment
from assemble.runs.identity import hex_digits
from assemble.runs.result import EVALUATION, EVALUATION_FILE, asked_robustness, read_result, write_json
from assemble.schema import EvaluateConfig, OnBadImage
from assemble.scoring import confusion
from assemble.scoring.accuracy import score
from assemble.scoring.class_names import output_names, synsets
from assemble.scoring.configuration import check_data, configure
from assemble.scoring.predict import image_files, in_file_name, most_probable
from assemble.scoring.predictor import Loading, Predictor
from assemble.scoring.trained import Trained, open_trained

BATCH = 256
"""Images of a batch, at most, where nobody said how many."""
UNSEEN = {"num_workers", "batch_size", "download", "cache_dir", "cache_limit", "verify", "on_bad_image"}
"""Keys of ``data`` that change no image."""
LATER = (("exif_orientation", False), ("white", None))
"""Keys of ``data`` that an evaluation of an earlier version had not, with what it did."""
WEAKEST = 5
"""Classes that are printed."""


def evaluate(values: Mapping[str, Any]) -> None:
    """Do what the command line asks for, given as key -> value (`assemble.command_line.evaluate_options.read`).

    Raises:
        UserError: anything the user can mend.
    """
    from omegaconf import OmegaConf

    source = str(values.get("checkpoint") or values["model"])
    trained = open_trained(source, averaged=values.get("eval.averaged"))
    config = configure(values, trained)
    cfg: Any = OmegaConf.to_object(config)
    check_bounds(cfg)
    batch = cfg.eval.batch_size
    check_robustness(cfg.eval)
    require(
        (not cfg.eval.baseline or cfg.eval.corruptions, "eval.baseline compares robustness: add eval.corruptions=..."),
    )
    trained = trained.shown(cfg.data.scored_size, cfg.data.mean, cfg.data.std)
    device = device_of(cfg.trainer.accelerator)
    predict = Predictor(
        trained, device, precision=cfg.trainer.precision, flip=cfg.eval.flip, translate=cfg.eval.translate
    )
    if cfg.eval.predict:
        _predict(cfg, predict, source)
        return
    check_data(values, config)
    loading = Loading(batch or min(cfg.data.batch_size, BATCH), cfg.data.num_workers, device)
    plain: Any = OmegaConf.to_container(config, enum_to_str=True)
    _score(cfg, plain, predict, loading, source)


# --- what is in a few images


def _predict(cfg: EvaluateConfig, predict: Predictor, source: str) -> None:
    """Print the most probable classes of each image; with ``eval.cam`` draw where they are seen.

    Raises:
        UserError: some cannot be read, and nobody said to skip them; the others are done.
    """
    from assemble.scoring import cam

    (files, beside), crop, trained = image_files(cfg.eval.predict), eval_crop(cfg.data), predict.trained
    names = output_names(trained.classes, trained.class_names or _folder_names(cfg, trained), cfg.data.label_offset)
    if cfg.eval.cam:
        cam.require_grad_cam()
    table = Table(title=escape(source), title_justify="left")
    for column in ("image", "class", "probability %"):
        table.add_column(column, justify="right" if "%" in column else "left", overflow="fold")
    drawn: list[Path] = []
    bad: dict[str, str] = {}
    for file in files:
        try:
            image = load(file, crop, Reading.of(cfg.data))
        except UserError as error:
            bad[str(file)] = str(error)
            continue
        for i, (name, share) in enumerate(most_probable(predict, image, names)):
            table.add_row("" if i else escape(printable(file.name)), escape(name), f"{share:.1f}")
        if cfg.eval.cam:
            drawn.append(_folder(cfg, "cam") / cam.map_name(file, _label(source)))
            cam.draw(drawn[-1], image, cam.activation_map(predict, image))
    console = _console()
    console.print(table)
    for line in [*map(str, drawn), *([f"left out: {in_words(beside)}"] if beside else []), *bad.values()]:
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    if bad and cfg.data.on_bad_image is OnBadImage.error:
        raise UserError(
            f"{len(bad):,} of {len(files):,} images cannot be read, for the reasons above: {', '.join(bad)}. The "
            "others are done: remove these, or set data.on_bad_image=skip"
        )


def _folder_names(cfg: EvaluateConfig, trained: Trained) -> list[str] | None:
    """Return the classes of a run of an earlier version, which kept no names, if its images are still there."""
    try:
        return open_scored(cfg.data, cfg.eval.split).classes if trained.config else None
    except UserError:
        return None


# --- scores


def _score(cfg: EvaluateConfig, plain: dict[str, Any], predict: Predictor, loading: Loading, source: str) -> None:
    """Write and print all scores."""
    from assemble.robustness.choice import open_set
    from assemble.scoring.robustness import robustness, with_robustness

    trained = predict.trained
    scored = _open(cfg, trained)
    if cfg.data.verify:
        check_headers(scored.folders)
    for line in left_out(scored.folders):
        print(f"left out of {line}")
    settings = asked_robustness(plain)
    images, baseline = None, None
    if settings:  # what cannot be scored is told at once
        images = open_set(cfg.eval, cfg.data, scored)
    if settings and cfg.eval.baseline:
        settings["baseline"] = cfg.eval.baseline
        baseline = _baseline(cfg.eval.baseline, settings)
    about = {
        "source": source,
        "network": trained.digest(),
        "data": {k: v for k, v in plain["data"].items() if k not in UNSEEN and (k, v) not in LATER},
        "images": scored.images.digest(),
        "split": plain["eval"]["split"],
        "scored_split": scored.split,
        "flip": cfg.eval.flip,
        **({"translate": cfg.eval.translate} if cfg.eval.translate else {}),
        "precision": cfg.trainer.precision,
    }
    folder = _folder(cfg, f"{_label(source)}-{called(vars(cfg.data))}-{_digest(about)}")
    with lock(folder):
        result = read_result(folder, EVALUATION_FILE, EVALUATION)
        if result is None:
            result = _clean_scores(about, scored, predict, loading, folder, cfg)
        if images and settings and (result.get("robustness") or {}).get("settings") != settings:
            block = robustness(
                images,
                cfg.data,
                scored,
                predict,
                loading,
                folder=folder,
                settings=settings,
                clean=100 - result["metrics"]["top1"],
                baseline=baseline,
                shown=cfg.trainer.progress_bar,
            )
            result = with_robustness(result, block)
            write_json(folder / EVALUATION_FILE, result)
    _print(_console(), result, folder)


def _open(cfg: EvaluateConfig, trained: Trained) -> Scored:
    """Open the images, with labels that are outputs of the network.

    A network of ImageNet's 1,000 classes takes images of some of them, where folders have ImageNet's names.

    Raises:
        UserError: the network tells other classes apart than the data has.
    """
    if trained.class_names:  # by name, whatever place a class has among today's folders
        return open_scored(cfg.data, cfg.eval.split, list(trained.class_names))
    scored = open_scored(cfg.data, cfg.eval.split)
    outputs = trained.classes - cfg.data.label_offset
    if outputs == 1000 > len(scored.classes) and set(scored.classes) <= set(synsets()):
        return open_scored(cfg.data, cfg.eval.split, synsets())
    classes = len(scored.classes)
    more_wanted = trained.config is not None and trained.config["model"]["num_classes"] is not None
    if classes != outputs and not (more_wanted and classes < outputs):
        raise UserError(
            f"the network tells {outputs} classes apart and {cfg.data.root or called(vars(cfg.data))} has {classes}: "
            "take images of the classes that it was trained on"
        )
    return scored


def _clean_scores(
    about: dict[str, Any], scored: Scored, predict: Predictor, loading: Loading, folder: Path, cfg: EvaluateConfig
) -> dict[str, Any]:
    """Return accuracy, loss and calibration, and write confusions; evaluation.json is written last."""
    images, outputs = EvalSet(scored.images, scored.crop), predict.trained.classes
    offset = cfg.data.label_offset
    names = output_names(outputs, scored.classes, offset)
    scores = score(predict, bar("scoring", "batch", loading(images), shown=cfg.trainer.progress_bar), outputs, offset)
    confusion.write_tables(folder, scores.confusion, names)
    if not confusion.draw(folder / "confusion.png", scores.confusion, names):
        print("confusion.png is not drawn without matplotlib: pip install -e '.[plot]'", file=sys.stderr)
    result = {
        "evaluated": about,
        "metrics": scores.metrics,
        "count": len(images),
        "bad_images": {folder.name: len(folder.bad) for folder in scored.folders},
        "params": sum(p.numel() for p in predict.trained.network.parameters()),
        **describe_environment(),
    }
    write_json(folder / EVALUATION_FILE, result)
    return result


def _baseline(file: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Read the block ``robustness`` of another evaluation, or of a run's result.

    Raises:
        UserError: it has none, or one of other images.
    """
    path = Path(file).expanduser()
    result = read_result(path.parent, path.name, {})
    block = (result or {}).get("robustness")
    if not block:
        raise UserError(f"eval.baseline={file} is no evaluation.json or result.json with a robustness: name one")
    other = block["settings"]["corruptions"]
    if other != settings["corruptions"]:
        raise UserError(f"eval.baseline={file} is scored on {other}, not on {settings['corruptions']}")
    return block


# --- names and tables


def _folder(cfg: EvaluateConfig, name: str) -> Path:
    """Make a folder of ``output_dir`` and return it."""
    folder = Path(cfg.output_dir).expanduser() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}. Choose another place: output_dir=...") from error
    return folder


def _label(source: str) -> str:
    """Return a source as a part of a file name: a run's checkpoint by the run's name."""
    path = Path(source.removeprefix("timm:").replace("@", "/"))
    run = f"{path.parent.resolve().name}-" if path.is_file() and path.with_name("config.yaml").is_file() else ""
    name = f"{run}{path.stem}" if path.suffix else source.removeprefix("timm:")
    return in_file_name(name)


def _digest(about: Mapping[str, Any]) -> str:
    """Return eight hex digits for what was evaluated, and how."""
    return hex_digits({key: value for key, value in about.items() if key != "source"})


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120)


def _print(console: Console, result: Mapping[str, Any], folder: Path) -> None:
    metrics = result["metrics"]
    table = Table(title=escape(folder.name), title_justify="left")
    heads = {"top1": "top-1 %", "top5": "top-5 %", "loss": "loss", "ece": "ECE %", "ece_10": "ECE % (10 bins)"}
    for head in heads.values():
        table.add_column(head, justify="right")
    table.add_row(*(f"{metrics[key]:.{4 if key == 'loss' else 2}f}" for key in heads))
    table.caption = f"{result['count']:,} images"
    console.print(table, _weakest(folder))
    if result.get("robustness"):
        from assemble.scoring.robustness import table as robustness_table

        console.print(robustness_table(result["robustness"]))
    console.print(f"{folder / EVALUATION_FILE}", markup=False, soft_wrap=True)


def _weakest(folder: Path) -> Table:
    """Return a table of the classes that are recognised least often."""
    with (folder / "classes.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["top1"]))[:WEAKEST]
    table = Table(title="weakest classes (all: classes.csv)", title_justify="left")
    for column in ("class", "images", "top-1 %", "mistaken most for", "times"):
        table.add_column(column, justify="left" if column.startswith(("class", "mist")) else "right", overflow="fold")
    for row in rows:
        table.add_row(
            escape(row["class"]),
            row["images"],
            f"{float(row['top1']):.1f}",
            escape(row["mistaken_for"]),
            row["times"],
        )
    return table
