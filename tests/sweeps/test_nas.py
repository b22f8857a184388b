"""The architecture search: what it proposes, what candidates are worth, what it leaves behind. Nothing is trained."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from assemble.errors import UserError
from assemble.planning.network import base_spec
from assemble.runs.identity import run_directory
from tests.helpers.composing import composing
from tests.helpers.synthetic_runs import OF_RUN

SMALL = ("++hydra.sweeper.channels=[8,16]", "++hydra.sweeper.strides=[1,2]")


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with composing():
        yield


def search(folder: Path, *options: str) -> Any:
    chosen = ["hydra/sweeper=nas", f"hydra.sweep.dir={folder}/sweep", f"output_dir={folder}", *options]
    config = compose("config", overrides=chosen, return_hydra_config=True)
    made: Any = Plugins.instance()._instantiate(config.hydra.sweeper)
    context: Any = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=None)  # type: ignore[arg-type]
    made.setup(hydra_context=context, task_function=lambda _: None, config=config)
    return made


def invented(blocks: Sequence[str]) -> dict[str, Any]:
    """A result that favours Fused-MBConv, and costs as much as there are layers."""
    layers = sum(int(block.partition("_r")[2][0]) for block in blocks)
    top1 = 50 + 10 * sum(block.startswith(("er", "cn")) for block in blocks)
    return {
        "validation": {"top1": top1},
        "metrics": {"top1": 1.0},
        "step_seconds": 0.01 * layers,
        "params": 1000 * layers**2,
    }


def run(folder: Path, *options: str) -> Any:
    """A search whose launcher writes results."""
    made = search(folder, *SMALL, *options)
    made.tried = []

    def launch(batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        for overrides in batch:
            cfg = made.compose(list(overrides))
            made.tried.append(list(cfg.model.blocks))
            directory = run_directory(cfg)
            directory.mkdir(parents=True)
            (directory / "result.json").write_text(json.dumps({**OF_RUN, **invented(cfg.model.blocks)}))
        return [SimpleNamespace(return_value=None)] * len(batch)

    made.launcher = SimpleNamespace(launch=launch)
    made.sweep([f"output_dir={folder}", "data.image_size=24"])
    return made


def blocks_of(job: Any) -> list[str]:
    return job.overrides[-1].partition("[")[2].rstrip("]").split(",")


def test_proposals_are_networks_of_the_space(tmp_path: Path) -> None:
    jobs = search(tmp_path, "++hydra.sweeper.parallel=8").plan(["data.image_size=24"]).jobs
    stages = [blocks_of(job) for job in jobs]
    assert {len(blocks) for blocks in stages} == {6}
    plain = [
        f"ir_r2_k3_s{s}_e4_c{c}_se0.25" for s, c in zip((1, 2, 2, 2, 1, 2), (24, 48, 64, 128, 160, 256), strict=True)
    ]
    assert stages[0] == plain
    parts = {part for blocks in stages for block in blocks for part in block.split("_")}
    assert parts == {  # of eight networks, all choices
        *("ir", "er", "ds", "cn", "skip", "r1", "r2", "r3", "k3", "k5", "e1", "e4", "e6", "se0.25", "s1", "s2"),
        *("c24", "c48", "c64", "c128", "c160", "c256"),
    }
    assert all(("se0.25" in block) == block.startswith(("ir", "ds")) for blocks in stages for block in blocks)
    # A block that does not expand has no convolution for it (google/automl, effnetv2_model.py).
    assert all(("_e1_" in block) == block.startswith(("ds", "cn")) for blocks in stages for block in blocks)
    assert all(block.endswith("_skip") == block.startswith("cn") for blocks in stages for block in blocks)
    cfg: Any = search(tmp_path).compose(list(jobs[1].overrides))
    assert list(base_spec(cfg, 10).blocks) == stages[1]


def test_the_reward_by_hand(tmp_path: Path) -> None:
    made = search(tmp_path)
    base = {"validation": {"top1": 40.0}, "step_seconds": 0.02, "params": 2_000_000}
    assert made.value([base]) == pytest.approx(0.4)
    other = {"validation": {"top1": 60.0}, "step_seconds": 0.08, "params": 1_000_000}
    assert made.value([other]) == pytest.approx(0.6 * 4**-0.07 * 0.5**-0.05)
    assert made.value([base, other]) == pytest.approx(0.5 * 2.5**-0.07 * 0.75**-0.05)


def test_exponents_of_zero_leave_the_accuracy(tmp_path: Path) -> None:
    made = search(tmp_path, "++hydra.sweeper.time_exponent=0", "++hydra.sweeper.size_exponent=0")
    made.value([{"validation": {"top1": 40.0}, "step_seconds": 0.02, "params": 2}])
    assert made.value([{"validation": {"top1": 60.0}, "step_seconds": 5.0, "params": 9}]) == pytest.approx(0.6)


def test_the_best_are_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(tmp_path, "++hydra.sweeper.trials=8", "++hydra.sweeper.best=2")
    folder = tmp_path / "sweep" / "recipe"
    assert sorted(path.name for path in folder.iterdir()) == ["nas_1.yaml", "nas_2.yaml"]
    text = (folder / "nas_1.yaml").read_text()
    blocks = yaml.safe_load(text)["model"]["blocks"]
    result = invented(blocks)
    assert made.value([result]) == max(made.value([invented(tried)]) for tried in made.tried)
    assert f"A {result['validation']['top1'] / 100:.4f}, S {1000 * result['step_seconds']:.1f} ms" in text
    assert "n = 1" in text
    assert "reported" not in text
    assert f"--config-dir={tmp_path / 'sweep'} recipe=nas_1" in capsys.readouterr().out

    searched = GlobalHydra.instance().config_loader().get_search_path()
    searched.prepend("command-line", f"file://{tmp_path / 'sweep'}")  # as --config-dir does
    cfg = ConfigLoaderImpl(searched).load_configuration("config", ["recipe=nas_1"], RunMode.RUN)
    assert (cfg.model.name, list(cfg.model.blocks)) == ("efficientnet", blocks)
    assert made.units == {"S": pytest.approx(0.04), "P": pytest.approx(0.016)}  # of two stages of two layers


@pytest.mark.parametrize(
    ("options", "arguments", "says"),
    [
        (["channels=[8]", "strides=[1,2]"], [], "one of each for every stage"),
        (["strides=[1,2,2,2,1,3]"], [], "strides must be 1 or 2"),
        (["kernels=[3,4]"], [], "kernels must be odd"),
        (["layers=[]"], [], "name at least one, and each once"),
        (["expansions=[4,4]"], [], "name at least one, and each once"),
        (["layers=[0,1]"], [], "choices begin at 1"),
        (["best=-1"], [], "best=-1 must be 0 or above"),
        ([], ["model=tiny"], "hydra/sweeper=nas proposes the networks: leave model=tiny out"),
    ],
)
def test_mistakes(tmp_path: Path, options: list[str], arguments: list[str], says: str) -> None:
    with pytest.raises(Exception, match=says) as caught:
        search(tmp_path, *(f"++hydra.sweeper.{option}" for option in options)).plan(arguments)
    assert isinstance(caught.value, UserError) or isinstance(caught.value.__cause__, UserError)
