"""A trained network as files for others, each verified against its checkpoint before it is written, and a model card.

  python export.py checkpoint=runs/RUN/best.ckpt
  python export.py checkpoint=runs/RUN/best.ckpt 'formats=[safetensors,pt2,onnx,int8]'

checkpoint=   a run's .ckpt, or model.safetensors with its config.yaml (export.py's, convert.py's)
formats=      safetensors   weights and config.yaml, to be trained on, evaluated, or a teacher
              pt2           a program of torch.export
              onnx          needs pip install -e '.[onnx]'
              int8          ONNX with 8-bit weights and activations, calibrated on training images of the run
output=       folder, by default export/ beside the checkpoint
root=         where the run's images are now, if not where they were (int8)
pictures=     how many calibrate int8, and how many then compare its answers (256)
least=        share of these on which int8 must give the checkpoint's first class, or it is not written (0.9)

pt2, onnx and int8 take images (B, 3, S, S) as float32, RGB on the 0-255 scale: the normalisation is inside, and batch
norms are folded. They tell the names of their classes: in onnxruntime's custom_metadata_map, and in the extra files
of torch.export.load.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.command_line.one_line_errors import one_line_errors
from assemble.errors import UserError, require
from assemble.process import settle_process

if TYPE_CHECKING:
    from torch import Tensor

    from assemble.exporting.deployed import Function
    from assemble.scoring.trained import Trained

TOLERANCE = 1e-4
"""Of the largest logit: ten times what float32 needs."""


class Format(Enum):
    safetensors = "safetensors"
    pt2 = "pt2"
    onnx = "onnx"
    int8 = "int8"


@dataclass
class Options:
    """What can be asked for."""

    checkpoint: str
    formats: list[Format] = field(default_factory=lambda: [Format.safetensors])
    output: str | None = None
    root: str | None = None
    pictures: int = 256
    least: float = 0.9


def export(options: Options) -> Path:
    """Write the files, and return their folder.

    Raises:
        UserError: no such checkpoint, a missing package, or a file that does not answer as the checkpoint does.
    """
    names = [format.value for format in options.formats]
    source = Path(options.checkpoint).expanduser()
    require(
        (bool(names), "formats=[] asks for nothing: leave it out, or name some"),
        (options.pictures > 0, "pictures must be at least 1"),
        (0 <= options.least <= 1, "least is a share, between 0 and 1"),
        (source.is_file(), f"there is no checkpoint {source}: name a run's .ckpt, or a model.safetensors"),
    )
    from assemble.exporting.formats import check_installed

    check_installed(*names)
    import torch

    from assemble.atomic import write_whole
    from assemble.exporting.card import card, repetitions
    from assemble.models.cost import count_cost
    from assemble.models.weights import read_config
    from assemble.scoring.trained import open_trained

    trained, config = open_trained(str(source)), read_config(source)
    folder = Path(options.output).expanduser() if options.output else source.parent / "export"
    folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, str] = {}
    for name, content, line in _files(trained, config, names, options):
        write_whole(folder / name, content)
        about[name] = line
        print(f"{folder / name}: {line}", flush=True)
    cost = count_cost(trained.network, torch.empty(1, 3, trained.size, trained.size))
    write_whole(folder / "README.md", card(source.name, trained, config, cost, repetitions(source.parent), about))
    print(f"{folder / 'README.md'}: the model card")
    return folder


def _files(
    trained: Trained, config: dict[str, Any], names: Sequence[str], options: Options
) -> Iterator[tuple[str, bytes, str]]:
    """Yield (file name, content, what it is) of each format, verified against the network."""
    from assemble.exporting import formats
    from assemble.exporting.deployed import Deployed, noise

    images = noise(3, trained.size)
    reference = trained(images)
    network, about = Deployed(trained).eval(), formats.metadata(trained)
    if "safetensors" in names:
        yield "config.yaml", formats.configuration(config), "the configuration"
        content = formats.safetensors(trained.network.state_dict())
        yield (
            "model.safetensors",
            content,
            "the weights; " + _same(formats.run_safetensors(content, trained), images, reference),
        )
    if "pt2" in names:
        content = formats.pt2(network, trained.size, about)
        yield "model.pt2", content, "torch.export; " + _same(formats.run_pt2(content), images, reference)
    if not {"onnx", "int8"} & set(names):
        return
    content = formats.onnx(network, trained.size)
    line = _same(formats.run_onnx(content), images, reference)
    if "onnx" in names:
        yield "model.onnx", formats.described(content, about), f"ONNX; {line}"
    if "int8" in names:
        quantised, line = _int8(content, trained, config, options)
        yield "model.int8.onnx", formats.described(quantised, about), line


def _same(run: Function, images: Tensor, reference: Tensor) -> str:
    """Say how far the file's answers are from the network's; raise `UserError` where they are others."""
    from assemble.exporting.deployed import deviation

    off = deviation(run(images), reference)
    if not off <= TOLERANCE:  # not a number is no agreement
        raise UserError(f"the exported network answers otherwise than the checkpoint (largest deviation {off:.1e})")
    return f"logits deviate by {off:.1e} of the largest at most"


def _int8(content: bytes, trained: Trained, config: dict[str, Any], options: Options) -> tuple[bytes, str]:
    """Return the quantised network, and on how many images its answer is the network's."""
    from assemble.exporting import formats
    from assemble.exporting.calibration import source_of, spread_over
    from assemble.exporting.deployed import agreement, in_batches

    source = source_of(config, options.root)
    quantised = formats.int8(content, spread_over(source.train, source, options.pictures))
    seen = spread_over(source.test, source, options.pictures)
    run = formats.run_onnx(quantised)
    share = agreement(in_batches(run, seen), in_batches(trained, seen))
    if share < options.least:
        raise UserError(
            f"int8 gives the checkpoint's first class on only {100 * share:.1f} % of {len(seen)} test images: more "
            "pictures=.. may help, or lower least=.. to take it as it is"
        )
    return quantised, f"ONNX, 8 bits; the same first class on {100 * share:.1f} % of {len(seen)} test images"


def main() -> None:
    """Run the command line."""
    settle_process()
    with one_line_errors():
        from assemble.command_line.options import read_options

        export(read_options(Options, sys.argv[1:], __doc__ or "")[0])
