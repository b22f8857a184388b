"""Two threads for every test, so that runs side by side do not fight for the cores. Helpers lie in official.py."""

import torch

torch.set_num_threads(2)
