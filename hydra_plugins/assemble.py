"""The door through which Hydra finds the sweepers: it looks for plugins here alone, and only at classes defined here.

Read at every start, so nothing heavy is imported. Their options are in `assemble.sweeper_options`.
"""

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
