"""What networks cost: images a second, latency, parameters, multiply-adds, memory, side by side.

  python benchmark.py recipe=assemble_e00,assemble_e11
  python benchmark.py model=resnet50 'tricks=[],[resnet_d],[resnet_d,sk]' timm:resnet50 timm:resnet50d batch_size=8
  python benchmark.py model=resnet50 dtype=bfloat16 size=256 batch_size=1 device=cpu
  python benchmark.py recipe=mobilenet_m0,mobilenet_m8 'engines=[onnx,int8]' batch_size=1
  python benchmark.py export/model.onnx export/model.int8.onnx

Networks are named by train.py's arguments (key=a,b is several; each combination is one network), timm:NAME, or ONNX
files, which onnxruntime runs. Weights are random: they cost the same. In inference batch norms are folded and memory is
channels-last, for timm's as for ours. Networks take turns, round by round, and the ratio is that of the same rounds, so
that a busy machine shows as a wide spread and not as a wrong ratio.

batch_size=   64, as the paper
size=         side of the images; by default what each network is scored at
engines=      what runs them: torch, onnx (onnxruntime on the CPU), int8 (the same with 8-bit weights and activations)
dtype=        float32, bfloat16 or float16, of torch
device=       auto, cpu, cuda, ...
training=     true times a training step (forward and backward) in the place of inference
rounds=       how often each network has its turn (5)
output=       a .json or .csv file for the numbers
"""

from __future__ import annotations

import copy
import csv
import io
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.command_line.one_line_errors import one_line_errors
from assemble.errors import UserError, require
from assemble.process import settle_process
from assemble.wording import amount

if TYPE_CHECKING:
    import torch
    from rich.table import Table
    from torch import nn


class Dtype(Enum):
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Engine(Enum):
    torch = "torch"
    onnx = "onnx"
    int8 = "int8"


@dataclass
class Options:
    """How is measured."""

    batch_size: int = 64
    size: int | None = None
    engines: list[Engine] = field(default_factory=lambda: [Engine.torch])
    dtype: Dtype = Dtype.float32
    device: str = "auto"
    training: bool = False
    rounds: int = 5
    output: str | None = None


@dataclass(frozen=True)
class Network:
    """One network, not built yet: nothing is measured until all of them are known to exist."""

    name: str
    size: int
    build: Callable[[], nn.Module] | None
    """None: ``name`` is an ONNX file."""
    engine: Engine = Engine.torch
    reported: Mapping[str, float] = field(default_factory=dict)
    """Numbers of a recipe, among them images a second on its authors' machine."""

    @property
    def published(self) -> float | None:
        return self.reported.get("throughput_int8" if self.engine is Engine.int8 else "throughput")

    def by(self, engine: Engine) -> Network:
        """Return the same network by an engine."""
        name = self.name if engine is Engine.torch else f"{self.name} {engine.value}"
        return replace(self, name=name, engine=engine)


@dataclass(frozen=True)
class Measurement:
    """What one network costs. ``ratio`` is its throughput over that of the first network."""

    name: str
    size: int
    batch_size: int
    throughput: float
    latency_ms: float
    ratio: float
    published_ratio: float | None
    throughputs: list[float]
    ratios: list[float]
    """One for each round; ``throughput``, ``latency_ms`` and ``ratio`` are medians."""
    params: int | None = None
    macs: int | None = None
    peak_memory: int | None = None


def networks(
    overrides: Sequence[str], sources: Sequence[str], size: int | None, engines: Sequence[Engine] = (Engine.torch,)
) -> list[Network]:
    """Return the named networks, each by each engine; ONNX files by themselves.

    Raises:
        UserError: there is no such model, trick, recipe or file, or nothing is named.
    """
    from assemble.command_line.options import check_network
    from assemble.config.compose import combinations

    chosen = [_onnx(source) if source.endswith(".onnx") else _timm(source, size) for source in sources]
    if overrides:
        chosen = [_ours(job, size) for job in combinations(check_network(overrides, sweep=True))] + chosen
    if not chosen:
        raise UserError("name a network: recipe=NAME, model=NAME, timm:NAME or FILE.onnx. See --help")
    every = [each for network in chosen for each in ([network.by(e) for e in engines] if network.build else [network])]
    return list({network.name: network for network in every}.values())


def _ours(overrides: Sequence[str], size: int | None) -> Network:
    from omegaconf import OmegaConf

    from assemble.config.compose import compose
    from assemble.config.selection import selected_tricks
    from assemble.planning.plan import make_plan

    cfg = compose(overrides)
    config: Any = OmegaConf.to_object(cfg)
    plan = make_plan(config, list(selected_tricks(cfg).values()), need_data=False)
    name = " ".join(o.removeprefix("recipe=").removeprefix("model=") for o in overrides if o != "data=imagenet")
    size = size or plan.cfg.data.scored_size
    return Network(name, size, plan.recipe.spec.build, reported=config.reported)


def _timm(source: str, size: int | None) -> Network:
    if not source.startswith("timm:"):
        raise UserError(f"cannot read the argument '{source}': write key=value, timm:NAME or FILE.onnx. See --help")
    import timm

    from assemble.models.from_timm import check_name

    name = source.removeprefix("timm:")
    check_name(name)
    own: Any = timm.get_pretrained_cfg(name)
    return Network(source, size or own.input_size[-1], lambda: timm.create_model(name))


def _onnx(source: str) -> Network:
    if not Path(source).is_file():
        raise UserError(f"there is no file {source}")
    try:
        return Network(source, _session(source).get_inputs()[0].shape[-1], None)
    except Exception as error:  # of classes which onnxruntime does not name
        raise UserError(f"{source} is no readable ONNX file") from error


def _session(model: str | bytes) -> Any:
    """Open an ONNX file, or its content, in onnxruntime, on the CPU, with as many threads as PyTorch has."""
    from assemble.exporting.formats import check_installed

    check_installed("onnx")
    import onnxruntime
    import torch

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def _session_pass(model: str | bytes, batch: int, size: int) -> Callable[[], object]:
    """Return one pass of an ONNX model over a batch of noise as a call."""
    import torch

    session = _session(model)
    feed = {session.get_inputs()[0].name: torch.randn(batch, 3, size, size).numpy()}
    return partial(session.run, None, feed)


def _exported(network: nn.Module, size: int, engine: Engine) -> bytes:
    """Return the ONNX model of a network; ranges of its 8 bits are those of noise."""
    import torch

    from assemble.exporting import formats
    from assemble.models.fold import fold

    content = formats.onnx(fold(network, size), size)
    return content if engine is Engine.onnx else formats.int8(content, torch.randn(4, 3, size, size))


def compare(chosen: Sequence[Network], options: Options) -> list[Measurement]:
    """Measure the networks, in turns."""
    from assemble.models.throughput import Speed, timed
    from assemble.paired import interleave, ratios

    device = _device(options.device if options.engines == [Engine.torch] else "cpu")
    clocks: dict[str, Callable[[], float]] = {}
    costs: dict[str, dict[str, int]] = {}
    for network in chosen:
        run, costs[network.name] = _prepared(network, options, device)
        clocks[network.name] = timed(run, device)
    seconds = interleave(clocks, options.rounds)
    first, rows = chosen[0], []
    for network in chosen:
        speed = Speed(options.batch_size, seconds[network.name])
        against = ratios(seconds[first.name], seconds[network.name])
        published = network.published and first.published and network.published / first.published
        rows.append(
            Measurement(
                name=network.name,
                size=network.size,
                batch_size=options.batch_size,
                throughput=speed.throughput,
                latency_ms=speed.latency,
                ratio=statistics.median(against),
                published_ratio=published,
                throughputs=speed.throughputs,
                ratios=against,
                **costs[network.name],
            )
        )
    return rows


def _prepared(network: Network, options: Options, device: torch.device) -> tuple[Callable[[], object], dict[str, int]]:
    """Return one pass over a batch as a call, and what is counted of the network: params, macs, peak_memory."""
    import torch

    from assemble.models.cost import count_cost
    from assemble.models.throughput import inference_pass, peak_memory, training_pass

    batch, size, dtype = options.batch_size, network.size, getattr(torch, options.dtype.value)
    if network.build is None:
        return _session_pass(network.name, batch, size), {}
    torch.manual_seed(0)
    built = network.build().eval()
    cost = count_cost(copy.deepcopy(built).to("meta"), torch.empty(1, 3, size, size, device="meta"))
    counted = {"params": cost.params, "macs": cost.macs}
    if network.engine is not Engine.torch:
        return _session_pass(_exported(built, size, network.engine), batch, size), counted
    built = built.to(device)
    if options.training:
        return training_pass(built, batch, size, dtype), counted
    counted["peak_memory"] = peak_memory(built, batch, size, dtype)
    return inference_pass(built, batch, size, dtype), counted


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device={name} cannot be had here: take auto, or cpu") from error
    return device


def table(rows: Sequence[Measurement], options: Options) -> Table:
    """Build the table of medians, with the smallest and the largest value."""
    from rich.markup import escape
    from rich.table import Table

    from assemble.paired import conditions, spread
    from assemble.processor import SLOW, emulates_bfloat16

    what = "a training step" if options.training else "inference"
    table = Table(title=f"{what}, batch {options.batch_size}, {options.dtype.value}", title_justify="left")
    slow = options.dtype is Dtype.bfloat16 and _device(options.device).type == "cpu" and emulates_bfloat16()
    table.caption = f"median (smallest-largest, n = rounds); {conditions()}" + (f"; {SLOW}" if slow else "")
    for column in (
        "network",
        "size",
        "images/s",
        "ms a batch",
        "over the first",
        "published",
        "params",
        "mult-adds",
        "MiB",
    ):
        table.add_column(column, justify="left" if column == "network" else "right", overflow="fold")
    for row in rows:
        table.add_row(
            escape(row.name),
            str(row.size),
            spread(row.throughputs, 1),
            f"{row.latency_ms:.1f}",
            spread(row.ratios),
            _number(None if slow else row.published_ratio, 1, 3),
            "" if row.params is None else amount(row.params),
            "" if row.macs is None else amount(row.macs),
            _number(row.peak_memory, 2**20, 0),
        )
    return table


def _number(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"


def write(rows: Sequence[Measurement], path: Path) -> None:
    """Write the numbers as JSON, or as CSV without those of the single rounds."""
    from assemble.atomic import write_whole
    from assemble.runs.environment import describe_environment

    records = [asdict(row) for row in rows]
    if path.suffix == ".json":
        content = json.dumps({"rows": records, **describe_environment()}, indent=2) + "\n"
    else:
        text = io.StringIO()
        plain = [field for field in records[0] if field not in {"throughputs", "ratios"}]
        writer = csv.DictWriter(text, plain, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)
        content = text.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def main() -> None:
    """Run the command line."""
    settle_process()
    with one_line_errors():
        from assemble.command_line.options import read_options

        options, rest = read_options(Options, sys.argv[1:], __doc__ or "", network=True, names=True)
        output = Path(options.output).expanduser() if options.output else None
        require(
            (options.batch_size > 0, "batch_size must be at least 1"),
            (options.size is None or options.size > 0, "size must be at least 1"),
            (options.rounds > 0, "rounds must be at least 1"),
            (bool(options.engines), "engines=[] asks for nothing: leave it out, or name some"),
            (
                options.engines == [Engine.torch]
                or (options.device in {"auto", "cpu"} and options.dtype is Dtype.float32 and not options.training),
                "engines=[onnx,int8] infer on the CPU and have no dtype: leave device, dtype and training out",
            ),
            (output is None or output.suffix in {".json", ".csv"}, f"output={output} must end in .json or .csv"),
        )
        overrides, sources = [a for a in rest if "=" in a], [a for a in rest if "=" not in a]
        rows = compare(networks(overrides, sources, options.size, options.engines), options)
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 160).print(table(rows, options))
        if output:
            write(rows, output)
