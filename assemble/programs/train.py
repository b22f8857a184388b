"""Compose training tricks, train, evaluate. ``python train.py --help`` lists what can be named.

Imports are late on purpose: a typo or ``--help`` is answered without importing torch, and Ctrl-C at once.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from assemble.command_line.one_line_errors import one_line_errors
from assemble.complaints import GOES_ON, raise_through_hydra
from assemble.interrupts import INTERRUPTS, requeued
from assemble.process import settle_process
from assemble.ranks import end_with_the_first

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from assemble.planning.plan import Plan


def task(cfg: DictConfig) -> float | None:
    """Explain or train one composed configuration, or, in a sweep, hand it to a process of its own."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from assemble.sweeps.job import run_job

        return run_job(cfg)
    # Inside of Hydra's own handling, which would add a line of its own.
    with one_line_errors(GOES_ON):
        if cfg.explain:
            with _uncollected():
                from assemble.planning.explain import print_explanation
                from assemble.runs.directory import describe_run

                plan = make_plan_of(cfg)
            print_explanation(plan, describe_run(cfg))
            return None
        if cfg.prepare:
            with _uncollected():
                from assemble.runs.build import build_companions

                plan = make_plan_of(cfg)
            build_companions(plan)
            print("all that training needs first is there")
            return None
        train_run(cfg)
    return None


def train_run(cfg: DictConfig) -> dict[str, Any]:
    """Train and score the run of a configuration, or go on with it, and return the content of its result.json."""
    from omegaconf import OmegaConf

    from assemble.ranks import secondary_rank
    from assemble.runs.directory import describe_result, open_run
    from assemble.runs.processes import check_processes

    check_processes(cfg.trainer.devices, cfg.trainer.num_nodes)
    with open_run(cfg) as run:
        result: dict[str, Any] = {}
        if run.complete:
            print(describe_result(run))
        elif not run.finished:
            with _uncollected():
                from assemble.runs.fit import fit

            result = fit(make_plan_of(cfg), run)
        if not (run.complete or secondary_rank()):
            from assemble.scoring.finished_run import score_run

            config: Any = OmegaConf.to_object(cfg)
            score_run(config, run)
        return run.result or result  # the file's: numbers that are not finite are null there


def make_plan_of(cfg: DictConfig) -> Plan:
    """Make the plan of a composed configuration, with images of it where ``plot`` asks for them."""
    from omegaconf import OmegaConf

    from assemble.config.selection import check_used, selected_tricks
    from assemble.planning.plan import make_plan

    check_used(cfg)
    tricks = list(selected_tricks(cfg).values())
    config: Any = OmegaConf.to_object(cfg)
    plan = make_plan(config, tricks, need_data=not cfg.explain)
    if cfg.plot:
        from assemble.runs.preview import draw

        print(*draw(plan, cfg.plot), sep="\n")
    return plan


@contextmanager
def _uncollected() -> Iterator[None]:
    """Switch garbage collection off during heavy imports.

    Next to nothing they make is garbage, so looking for it only takes time, then and later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def main() -> None:
    """Run the command line."""
    settle_process()
    INTERRUPTS.listen()
    end_with_the_first()
    try:
        _main()
    finally:
        INTERRUPTS.leave()


def _main() -> None:
    with one_line_errors(GOES_ON), requeued():
        from assemble.command_line.check import check_arguments

        sweep = check_arguments(sys.argv[1:])
        import hydra

        from assemble.config.register import register
        from assemble.paths import CONF

        raise_through_hydra()
        with _uncollected():
            register(sys.argv[1:])
        run = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)
        if not sweep:
            return run()
        from assemble.sweeps.summary import summarised

        with summarised():
            run()


if __name__ == "__main__":
    main()
