"""The door through which Hydra finds sweepers and launchers: it looks here alone, and only at classes defined here.

Read at every start, so nothing heavy is imported. Their options are in `assemble.sweeper_options` and
`assemble.config.launchers`.
"""

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from assemble.sweeps import ablation, compound, nas, policy


class GridSweeper(ablation.GridSweeper):
    """``hydra/sweeper=grid``."""


class AblationSweeper(ablation.AblationSweeper):
    """``hydra/sweeper=ablation``."""


class CompoundSweeper(compound.CompoundSweeper):
    """``hydra/sweeper=compound``."""


class NasSweeper(nas.NasSweeper):
    """``hydra/sweeper=nas``."""


class PolicySweeper(policy.PolicySweeper):
    """``hydra/sweeper=autoaugment``."""


with suppress(ImportError):
    from hydra_plugins.hydra_joblib_launcher import joblib_launcher

    class JoblibLauncher(joblib_launcher.JoblibLauncher):
        """``hydra/launcher=joblib``."""

        def __init__(self, per_device: int = 1, **joblib: Any) -> None:
            super().__init__(**joblib)
            self.per_device = per_device

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
            from assemble.sweeps.launching import JOBS, lend_devices

            assert self.config is not None
            jobs = lend_devices(self.config, job_overrides, self.per_device) or JOBS
            self.joblib["n_jobs"] = self.joblib["n_jobs"] or jobs
            return super().launch(job_overrides, initial_job_idx)


with suppress(ImportError):
    from hydra_plugins.hydra_submitit_launcher import submitit_launcher

    class LocalLauncher(submitit_launcher.LocalLauncher):
        """``hydra/launcher=submitit_local``, which starts all jobs at once; each waits for devices."""

        def __init__(self, per_device: int = 1, **params: Any) -> None:
            super().__init__(**params)
            self.per_device = per_device

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
            from assemble.sweeps.launching import lend_devices, share_cores

            assert self.config is not None
            jobs = lend_devices(self.config, job_overrides, self.per_device)
            share_cores(min(jobs or len(job_overrides), len(job_overrides)))
            return super().launch(job_overrides, initial_job_idx)


with suppress(ImportError):
    ray_launcher: Any = import_module("hydra_plugins.hydra_ray_launcher.ray_launcher")

    class RayLauncher(ray_launcher.RayLauncher):
        """``hydra/launcher=ray``, which can also take a cluster that is there."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
            from omegaconf import OmegaConf

            from assemble.sweeps.launching import start_ray

            if not import_module("ray").is_initialized():
                options: Any = OmegaConf.to_container(self.ray_cfg.init, resolve=True)
                start_ray(options)
            return super().launch(job_overrides, initial_job_idx)
