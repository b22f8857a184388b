"""The search for an augmentation policy, in the place where Hydra looks for plugins. Imports nothing heavy.

What is searched is `tricks._policy_search`'s; how a search goes is `assemble.sweeps.search`'s.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from assemble.errors import UserError, require
from assemble.sweeper_options import Method
from assemble.sweeps.search import Candidate, SearchSweeper
from tricks import _policy_search as space

if TYPE_CHECKING:
    from optuna import Study, Trial

    from assemble.runs.sweep_plan import Job
    from tricks._policies import Policy

FILE = "policy.yaml"
"""In the sweep's directory: what was found."""


class PolicySweeper(SearchSweeper):
    """Candidates are policies: of augmentation, beside what else the command line selects.

    With `Method.train` each is trained, and valued by validation top-1. With `Method.density` networks are trained
    without any, one for each combination of what is swept, and value the candidates by how well they recognise
    augmented images that ``data.train_share`` kept from them.
    """

    mode = space.TRICK
    unit = " %"

    def __init__(
        self,
        method: Method,
        sub_policies: int,
        best: int,
        operations: Sequence[str] | None,
        strengths: str,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        require(
            (sub_policies >= 1, f"hydra.sweeper.sub_policies={sub_policies} must be at least 1"),
            (best >= 1, f"hydra.sweeper.best={best} must be at least 1"),
        )
        self.method, self.sub_policies, self.best, self.strengths = method, sub_policies, best, strengths
        self.operations = space.operations_of(operations, strengths)
        self.policies: dict[int, Policy] = {}
        """Those proposed, by the candidate's number."""
        self.settings: list[list[str]] = []
        """What the candidates are trained with: the command line, for each combination of what is swept."""

    def expand(self, arguments: list[str]) -> list[list[str]]:
        self.settings = super().expand(arguments)
        for setting in self.settings:
            self._check(setting)
        return [with_trick(setting, self.mode) for setting in self.settings]

    def _check(self, setting: list[str]) -> None:
        from assemble.config.selection import active_tricks

        cfg = self.compose(setting)
        for name in [*active_tricks(cfg), *cfg.drop]:
            if name in (self.mode, *space.ALIKE):
                raise UserError(
                    f"hydra/sweeper={self.mode} brings trick {self.mode} itself, and does not go with {name}: "
                    "leave it out, as in tricks=[OTHERS,..] beside a recipe that has it"
                )

    def sweep(self, arguments: list[str]) -> None:
        if self.method is Method.train:
            super().sweep(arguments)
        else:
            self._match(arguments)

    def _match(self, arguments: list[str]) -> None:
        """Search by density matching.

        Stopped and started again, it finds its networks, and scores anew.
        """
        from assemble.runs.sweep_plan import Job, SweepPlan
        from assemble.sweeps.overrides import varying

        self.expand(arguments)
        study, rows = self._study(), varying(self.settings)
        configs = [self.compose(setting) for setting in self.settings]
        for cfg in configs:
            if cfg.data.train_share == 1:
                raise UserError(
                    "hydra.sweeper.method=density scores on images that networks were not trained on: leave them "
                    "some with data.train_share=0.5, and take several networks with data.train_share_seed=0,1,2"
                )
        each = zip(configs, self.settings, rows, strict=True)
        jobs = [Job.of(cfg, setting, row or "network") for cfg, setting, row in each]
        plan = SweepPlan(self.mode, jobs)
        plan.show()
        for line in (f"{self.trials} candidates, scored without training", *self.describe()):
            print(f"{'':9} {line}")
        self.run(plan)
        self.finish(self._scored(study, configs, jobs))

    def _scored(self, study: Study, configs: Sequence[Any], jobs: Sequence[Job]) -> list[Candidate]:
        """Score the candidates, and return them with their values, the best first."""
        from omegaconf import OmegaConf

        from assemble.scoring.density import Child
        from assemble.sweeps.search import report
        from tricks import create

        for job in jobs:
            if job.result is None:
                raise UserError(
                    f"{job.directory} has no result, which the candidates wait for: the same command goes on"
                )
        children = []
        for cfg, job in zip(configs, jobs, strict=True):
            config: Any = OmegaConf.to_object(cfg)
            children.append(Child(config, job.directory / f"{config.eval.weights.value}.ckpt"))
        candidates: list[Candidate] = []
        for _ in range(self.trials):
            trial = study.ask()
            candidate = Candidate(trial.number, self.propose(trial))
            policy = self.policies[candidate.number]
            (trick,) = create({self.mode: {"policy": policy, "strengths": self.strengths}})
            candidate.value = fmean(child.top1(trick, self.seed) for child in children)
            study.tell(trial, candidate.value)
            candidates.append(candidate)
            report(candidates, [candidate], self.unit)
        return sorted(candidates, key=lambda c: -(c.value or 0.0))

    def propose(self, trial: Trial) -> list[str]:
        policy = self.policies[trial.number] = space.propose(trial, self.operations, self.sub_policies)
        return [f"tricks.{self.mode}.policy={space.argument(policy)}", f"tricks.{self.mode}.strengths={self.strengths}"]

    def value(self, results: Sequence[dict[str, Any]]) -> float:
        return fmean(result["validation"]["top1"] for result in results)

    def known(self) -> Sequence[Mapping[str, Any]]:
        """Return the policy that changes nothing, as a measure; none in density matching: nothing would beat it."""
        return [] if self.method is Method.density else [space.no_change(self.operations, self.sub_policies)]

    def describe(self) -> Sequence[str]:
        return [
            f"{self.sub_policies} sub-policies each, of {space.sub_policies_of(self.operations):,} with "
            f"{len(self.operations)} operations at {self.strengths} strengths",
            f"the sub-policies of the best {self.best} will be {self._file}",
        ]

    def finish(self, ranked: Sequence[Candidate]) -> None:
        from assemble.atomic import write_whole

        if not ranked:
            return
        best = ranked[: self.best]
        none = next((c for c in ranked if c.number < len(self.known())), None)
        comments = [
            f"Found by: {self._command}",
            f"{len(ranked)} candidates with a result; mean top-1 % {self._measured}:",
            *(f"{c.label}: {c.value:.2f}, {self.sub_policies} sub-policies, in this order" for c in best),
            *([f"{none.label}, which changes nothing: {none.value:.2f}"] if none else []),
            "The best of many are lucky, too: compare before you believe.",
        ]
        write_whole(self._file, space.policy_file([self.policies[c.number] for c in best], comments))
        print(f"policy    {self._file}")
        for name, command in self._next().items():
            print(f"{name:9} {shlex.join(command)}")

    @property
    def _file(self) -> Path:
        return Path(self.whole.hydra.sweep.dir) / FILE

    @property
    def _measured(self) -> str:
        runs = len(self.settings)
        if self.method is Method.density:
            return f"of {runs} network(s) on augmented images that they were not trained on"
        return f"on the validation set, of {runs} run(s)"

    @property
    def _command(self) -> str:
        given = self.whole.hydra.overrides
        ours = [o for o in given.hydra if not o.startswith("hydra.mode=")]
        return shlex.join(["python", "train.py", "-m", *ours, *given.task])

    def _next(self) -> dict[str, list[str]]:
        """Return command lines that train on all images with what was found.

        They also compare it with none and with published.
        """
        reduced = ("data.train_share", "seed=")
        setting = with_trick([o for o in self.settings[0] if not o.lstrip("+").startswith(reduced)], self.mode)
        setting.append(f"tricks.{self.mode}.strengths={self.strengths}")
        policy = f"tricks.{self.mode}.policy={self._file}"
        several = ["hydra/sweeper=ablation", f"hydra.sweeper.tricks=[{self.mode}]"]
        return {
            "use it": ["python", "train.py", *setting, policy],
            "compare": ["python", "train.py", "-m", *several, *setting, f"{policy},imagenet,cifar10", "seed=0,1,2,3,4"],
        }


def with_trick(overrides: Sequence[str], name: str) -> list[str]:
    """Add a trick to the overrides of one job: in the list of tricks that they have, or in one of its own."""
    for place, override in enumerate(overrides):
        key, _, value = override.partition("=")
        if key in ("tricks", "+tricks"):
            names = [*filter(None, map(str.strip, value.strip("[]").split(","))), name]
            return [*overrides[:place], f"{key}=[{','.join(names)}]", *overrides[place + 1 :]]
    return [*overrides, f"+tricks=[{name}]"]
