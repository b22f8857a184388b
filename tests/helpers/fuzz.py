"""Command lines and damage that nobody would think of, and our programs in this process: what came of them.

``python tests/helpers/fuzz.py commands|runs FIRST LAST`` tries those with these seeds, and prints those that ended with
a traceback.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ALLOWED = {0, 2}
"""Exit codes of a program that did what was asked, and of one that told in a line what was wrong."""
SECONDS = 60
"""Until one command is taken to hang."""
SMALL = {
    "data.image_size": "16",
    "model.width": "4",
    "trainer.progress_bar": "false",
    "trainer.max_epochs": "2",
    "trainer.limit_train_batches": "0.03",
    "logger": "[csv]",
}
WORDS = (
    *("", "0", "-1", "1", "3", "1e9", "nan", "inf", "0.5", "true", "null", "[]", "[a,b]", "{}", "{a:1}", "~", "???"),
    *(
        "${seed}",
        "${nothing}",
        "${",
        "'",
        '"',
        "a b",
        "ä",
        "\u2028",
        "../..",
        "/",
        "x" * 300,
        "=",
        "a=b",
        "[1,",
        "1_000",
    ),
    *("resnet20", "digits", "tiny", "se", "-9" * 30, "9" * 30, "cpu", "auto", "bf16-mixed", "None", "0x10"),
)
KEYS = {
    "train": (
        *("seed", "data", "data.batch_size", "data.root", "data.label_offset", "data.num_workers", "data.mean", "drop"),
        *("model", "model.name", "model.width", "model.num_classes", "model.checkpoint", "model.freeze", "optim.lr"),
        *("optim", "optim.schedule", "optim.warmup_epochs", "optim.milestones", "optim.name", "trainer.devices"),
        *("trainer.precision", "trainer.strategy", "trainer.accelerator", "trainer.gradient_clip_val", "trainer"),
        *("trainer.accumulate_grad_batches", "recipe", "+tricks", "tricks", "tricks.se.reduction", "+trick", "plot"),
        *(
            "eval.weights",
            "eval.ece_bins",
            "eval.corruptions",
            "output_dir",
            "logger",
            "logger.csv.name",
            "hydra.run.dir",
        ),
        *("data.train_share", "trainer.checkpoint_minutes", "trainer.loss_scale", "trainer.sync_batchnorm", "reported"),
    ),
    "evaluate": (
        *("data", "data.root", "data.eval_size", "data.eval_crop", "data.mean", "data.label_offset", "eval.split"),
        *("eval.flip", "eval.batch_size", "eval.averaged", "eval.baseline", "eval.predict", "eval.cam", "model"),
        *("trainer.precision", "trainer.accelerator", "output_dir", "eval.corruptions_root", "checkpoint"),
    ),
    "report": (
        "metric",
        "baseline",
        "recipe",
        "data",
        "tricks",
        "markdown",
        "csv",
        "latex",
        "html",
        "--metric",
        "other",
    ),
    "export": ("checkpoint", "output", "formats", "size", "batch_size", "dtype", "images", "model", "other"),
    "convert": ("model", "output", "checkpoint", "tricks", "recipe", "classes", "other", "width"),
    "benchmark": ("model", "tricks", "recipe", "batch_size", "size", "engines", "dtype", "device", "rounds", "output"),
}


def command_line(rng: random.Random, run: Path) -> tuple[str, list[str]]:
    """Make up a program and its arguments. ``run``: the directory of a finished run."""
    program = rng.choice(list(KEYS))
    words = [*WORDS, str(run), str(run / "last.ckpt"), str(run / "result.json"), str(run / "metrics.csv")]
    given = {rng.choice(KEYS[program]): rng.choice(words) for _ in range(rng.randint(0, 3))}
    arguments = [f"{key}={value}" for key, value in given.items()]
    if program == "train":
        arguments += [f"{key}={value}" for key, value in SMALL.items() if key not in given]
        arguments += ["explain=true"] if rng.random() < 0.8 else []
    elif program in {"evaluate", "export"} and rng.random() < 0.7 and "checkpoint" not in given:
        arguments.append(f"checkpoint={run / rng.choice(['best.ckpt', 'last.ckpt', 'config.yaml', 'nothing'])}")
    elif program == "benchmark":
        small = {"model": "tiny", "rounds": "1", "batch_size": "1", "size": "16", "device": "cpu"}
        arguments += [f"{key}={value}" for key, value in small.items() if key not in given]
    elif rng.random() < 0.7:
        arguments.append(rng.choice([str(run), str(run.parent), str(run / "last.ckpt"), "nowhere"]))
    if rng.random() < 0.2 and arguments:
        place = rng.randrange(len(arguments))
        arguments[place] = spoilt(rng, arguments[place].encode()).decode(errors="replace").replace("\0", "")
    return program, arguments


def spoilt(rng: random.Random, content: bytes) -> bytes:
    """Flip bits, cut, double, empty or replace."""
    if not content:
        return b"\xff"
    place = rng.randrange(len(content))
    return rng.choice(
        [
            lambda: content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :],
            lambda: content[:place],
            lambda: content[place:],
            lambda: content + content[place:],
            lambda: b"",
            lambda: content[:place] + rng.randbytes(9) + content[place:],
            lambda: b"[" * 100_000,
        ]
    )()


def other_kind(rng: random.Random, content: Any) -> Any:
    """Replace a value somewhere in a nested one by something of another kind, or leave it out."""
    whole = copy.deepcopy(content)
    inside = whole
    while True:
        keys: Sequence[Any] = list(inside) if isinstance(inside, dict) else range(len(inside))
        if not keys:
            return rng.choice([None, 3])
        key = rng.choice(keys)
        if isinstance(inside[key], dict | list) and inside[key] and rng.random() < 0.7:
            inside = inside[key]
            continue
        if rng.random() < 0.2:
            del inside[key]
        else:
            inside[key] = rng.choice([None, True, -1, 10**400, 1e999, "text", [], {}, [[1]], {"a": {"b": 1}}, "ä\n|<"])
        return whole


def damage(rng: random.Random, run: Path, plan: Path) -> str:
    """Damage one file of a run, or of the plan of its sweep; returns what was done."""
    path = rng.choice([run / "result.json", run / "metrics.csv", run / "config.yaml", run / "last.ckpt", plan])
    how = rng.choice(["bytes", "bytes", "kind", "kind", "folder", "gone"])
    if how == "kind" and path.suffix == ".json":
        path.write_text(json.dumps(other_kind(rng, json.loads(path.read_text()))))
    elif how == "kind" and path.suffix == ".yaml":
        import yaml

        path.write_text(yaml.safe_dump(other_kind(rng, yaml.safe_load(path.read_text()))))
    elif how == "kind" and path.suffix == ".ckpt":
        import torch

        torch.save(other_kind(rng, torch.load(path, weights_only=True)), path)
    elif how in {"folder", "gone"}:
        path.unlink()
        if how == "folder":
            path.mkdir()
    else:
        path.write_bytes(spoilt(rng, path.read_bytes()))
    return f"{path.name}: {how}"


def attempt(program: str, arguments: Sequence[str]) -> str | None:
    """Run a program in this process; returns what was wrong with how it ended, None where nothing was."""
    said, code = io.StringIO(), 0
    before, argv = dict(os.environ), sys.argv
    sys.argv = [f"{program}.py", *arguments]
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said), warnings.catch_warnings():
            import_module(f"assemble.programs.{program}").main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        sys.argv = argv
        os.environ.clear()
        os.environ.update(before)
    if code not in ALLOWED or "Traceback" in said.getvalue():
        return f"exit code {code}: {said.getvalue()[-1500:]}"
    errors = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
    return None if len(errors) == (code == 2) else f"exit code {code}, {len(errors)} lines: {said.getvalue()[-500:]}"


def _hangs(*_: object) -> None:
    raise BaseException("it hangs")


def try_commands(seeds: Sequence[int], run: Path) -> Iterator[str]:
    """Yield what went wrong, with the command."""
    for seed in seeds:
        program, arguments = command_line(random.Random(f"command {seed}"), run)
        with TemporaryDirectory() as folder, contextlib.chdir(folder):
            wrong = attempt(program, arguments)
        if wrong:
            yield f"{seed}: {program}.py {arguments}\n{wrong}"


def try_runs(seeds: Sequence[int], runs: Path, *, resume: bool = True) -> Iterator[str]:
    """Yield what went wrong with a damaged copy of ``runs``: the report of it, and the run's own command."""
    for seed in seeds:
        rng = random.Random(f"run {seed}")
        with TemporaryDirectory() as folder, contextlib.chdir(folder):
            shutil.copytree(runs, "runs")
            plan = Path("runs/sweeps/one/plan.json")
            directory = next(path.parent for path in sorted(Path("runs").glob("*-s0-*/result.json")))
            done = damage(rng, directory, plan)
            steps: list[Callable[[], str | None]] = [
                lambda: attempt("report", ["runs", "csv=a.csv", "html=a.html", "markdown=a.md", "latex=a.tex"])
            ]
            if resume:
                if rng.random() < 0.5 and (directory / "result.json").is_file():
                    (directory / "result.json").unlink()
                steps.append(lambda: attempt("train", [f"{key}={value}" for key, value in SMALL.items()]))
            for step in steps:
                wrong = step()
                if wrong:
                    yield f"{seed}: {done}\n{wrong}"


def make_runs(folder: Path) -> Path:
    """Train two runs, seeds 0 and 1, with a plan of a sweep around them; returns their folder."""
    with contextlib.chdir(folder):
        for seed in (1, 0):
            wrong = attempt("train", [*(f"{key}={value}" for key, value in SMALL.items()), f"seed={seed}"])
            assert wrong is None, wrong
    runs = sorted((folder / "runs").glob("*/result.json"))
    jobs = [{"run_id": path.parent.name, "output_dir": "runs", "row": "row", "seed": i} for i, path in enumerate(runs)]
    plan = folder / "runs" / "sweeps" / "one" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"mode": "cumulative", "jobs": jobs, "orders": [["se"]], "lines": {"a": ["row"]}}))
    return folder / "runs"


def main(what: str, first: int, last: int, resume: bool = True) -> list[str]:
    """Try seeds ``first`` to ``last - 1``; returns what went wrong."""
    with TemporaryDirectory() as folder:
        runs, seeds = make_runs(Path(folder)), range(first, last)
        if what == "commands":
            return list(try_commands(seeds, next(runs.glob("*-s0-*"))))
        return list(try_runs(seeds, runs, resume=resume))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    failures = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(*failures, f"{len(failures)} ended otherwise than in one line", sep="\n\n")
    raise SystemExit(bool(failures))
