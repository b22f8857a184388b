"""From a command line to the jobs of a sweep, as Hydra composes them; nothing is run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext

from assemble.errors import UserError
from assemble.paths import ROOT
from assemble.runs.sweep_plan import Job, SweepPlan
from tests.helpers.composing import composing


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with composing("recipe=assemble_e00", "recipe=assemble_e01", "recipe=assemble_e03"):
        yield


def plan(*arguments: str, sweeper: str = "ablation", **options: Any) -> SweepPlan:
    """The plan of ``python train.py -m hydra/sweeper=.. hydra.sweeper.OPTION=.. ARGUMENTS``."""
    chosen = [f"hydra/sweeper={sweeper}", *(f"++hydra.sweeper.{key}={value}" for key, value in options.items())]
    config = compose("config", overrides=chosen, return_hydra_config=True)
    loader = GlobalHydra.instance().config_loader()
    made: Any = Plugins.instance()._instantiate(config.hydra.sweeper)
    assert isinstance(made, Sweeper)
    made.setup(
        hydra_context=HydraContext(config_loader=loader, callbacks=None),  # type: ignore[arg-type]
        task_function=lambda _: None,
        config=config,
    )
    return made.plan(list(arguments))


def rows(jobs: Any) -> dict[str, set[str]]:
    return {job.row: set(job.tricks) for job in jobs}


def same_run(job: Job, *arguments: str) -> bool:
    """Is it the run that these arguments would make?"""
    return plan(*arguments, sweeper="grid").jobs[0].run_id == job.run_id


def test_cumulative_in_the_order_of_the_recipe() -> None:
    found = plan("recipe=assemble_e03", "+tricks=[ema]", "seed=0,1")
    order = ["zero_gamma", "resnet_d", "label_smoothing", "mixup", "ema"]
    assert found.mode == "cumulative"
    assert [list(map(str, order)) for order in found.orders] == [order]
    assert [(job.row, job.seed) for job in found.jobs[:7]] == [
        *[("base", 0), *((f"+ {name}", 0) for name in order)],
        ("base", 1),  # every row once, before any has its second seed
    ]
    assert len(found.jobs) == 12
    assert [len(job.tricks) for job in found.jobs[:6]] == [0, 1, 2, 3, 4, 5]
    assert len({job.run_id for job in found.jobs}) == 12
    assert same_run(found.jobs[5], "recipe=assemble_e03", "+tricks=[ema]")
    assert same_run(found.jobs[0], "recipe=assemble_e03", "tricks=[]")


def test_parameters_stay_where_their_trick_is_on() -> None:
    found = plan("+tricks=[sk,mixup]", "tricks.sk.reduction=4", "++tricks.mixup.alpha=0.5", mode="leave_one_out")
    everything, no_sk, no_mixup = found.jobs
    assert everything.overrides == ("+tricks=[sk,mixup]", "tricks.sk.reduction=4", "++tricks.mixup.alpha=0.5")
    assert no_sk.overrides == ("+tricks=[sk,mixup]", "++tricks.mixup.alpha=0.5", "drop=[sk]")
    assert no_mixup.overrides == ("+tricks=[sk,mixup]", "tricks.sk.reduction=4", "drop=[mixup]")
    assert same_run(no_sk, "+tricks=[mixup]", "tricks.mixup.alpha=0.5")
    assert same_run(no_mixup, "+tricks=[sk]", "tricks.sk.reduction=4")


def test_some_are_ablated_while_the_others_stay_on() -> None:
    found = plan("+tricks=[sk,mixup,ema]", "drop=[ema]", tricks="[mixup]")
    assert rows(found.jobs) == {"base": {"sk"}, "+ mixup": {"sk", "mixup"}}
    assert [job.overrides[-1] for job in found.jobs] == ["drop=[ema,mixup]", "drop=[ema]"]
    found = plan("+tricks=[sk,mixup,ema]", tricks="[mixup,sk]")  # in the order in which they are named
    assert rows(found.jobs) == {"base": {"ema"}, "+ mixup": {"ema", "mixup"}, "+ sk": {"ema", "mixup", "sk"}}


def test_everything_else_that_is_swept_multiplies_the_jobs() -> None:
    found = plan("+tricks=[sk,mixup]", "optim.lr=0.1,0.2", "seed=0,1", mode="one_at_a_time")
    assert len(found.jobs) == 3 * 2 * 2
    assert [job.row for job in found.jobs[:3]] == ["base, optim.lr=0.1", "sk, optim.lr=0.1", "mixup, optim.lr=0.1"]
    assert len({job.row for job in found.jobs}) == 6


def test_one_combination_is_trained_once() -> None:
    found = plan("recipe=assemble_e00,assemble_e01")  # E1 is E0 and one trick
    assert [job.row for job in found.jobs] == [
        *("base, recipe=assemble_e00", "+ zero_gamma, recipe=assemble_e00", "+ resnet_d, recipe=assemble_e01")
    ]
    assert len(plan("+tricks=[sk,mixup,ema]", "seed=0,1", mode="shapley", permutations=99).jobs) == 8 * 2


def test_what_resolve_refuses_is_left_out_and_named() -> None:
    found = plan("+tricks=[ema,swa,mixup]", mode="pairs")
    assert set(rows(found.jobs)) == {"base", "ema", "swa", "mixup", "ema + mixup", "swa + mixup"}
    (skipped,) = found.skipped
    assert skipped["row"] == "ema + swa"
    assert skipped["tricks"] == ["ema", "swa"]
    assert "do not go together" in skipped["reason"]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([], {}, "an ablation needs tricks"),
        (["+tricks=[sk]"], {"tricks": "[se]"}, "hydra.sweeper.tricks: trick 'se' is not selected. Selected: sk"),
        (["+tricks=[sk]"], {"tricks": "[sk,sk]"}, "each once"),
        (["+tricks=[sk]"], {"tricks": "[]"}, "at least one trick"),
        (["+tricks=[ema,swa]", "model.width=4"], {"mode": "shapley"}, "do not go together"),
        (["+tricks=[mixup]", "tricks.mixup.alpha=-1"], {}, "alpha"),
        # Left out of every run, its row would be missing without a word at the end.
        (["+tricks=[mixup,resnet_d]", "tricks.resnet_d.pool_stage1=false"], {}, "changes nothing in this tiny"),
    ],
)
def test_mistakes(arguments: list[str], options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(*arguments, **options)


def test_a_grid() -> None:
    found = plan("+tricks=[],[sk]", "seed=0,1", "model.width=4", sweeper="grid")
    assert found.mode == "grid"
    assert [(job.row, job.seed) for job in found.jobs] == [
        *(("+tricks=[]", 0), ("+tricks=[]", 1), ("+tricks=[sk]", 0), ("+tricks=[sk]", 1))
    ]
    assert [job.tricks for job in found.jobs] == [(), (), ("sk",), ("sk",)]
    assert [job.row for job in plan("seed=0,1", sweeper="grid").jobs] == ["base", "base"]
    assert [job.trains for job in plan("explain=true,false", sweeper="grid").jobs] == [False, True]


def test_parameters_of_what_a_job_of_a_grid_drops() -> None:
    found = plan("+tricks=[sk,mixup]", "drop=[],[sk]", "tricks.sk.reduction=4", sweeper="grid")
    assert [job.overrides for job in found.jobs] == [
        ("+tricks=[sk,mixup]", "drop=[]", "tricks.sk.reduction=4"),
        ("+tricks=[sk,mixup]", "drop=[sk]"),
    ]


def test_values_from_a_configuration_file() -> None:
    found = plan("model.width=4", sweeper="grid", **{"params.seed": "'3,5'"})
    assert [job.overrides for job in found.jobs] == [("seed=3", "model.width=4"), ("seed=5", "model.width=4")]


def test_installed_where_hydra_looks() -> None:
    import tomllib

    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "hydra_plugins" in setup["packages"]
    assert not Path(ROOT, "hydra_plugins", "__init__.py").exists()  # other packages have their plugins in there, too
