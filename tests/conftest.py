"""One thread for every test: on tiny networks two gain nothing, and spin for seconds where the cores are shared."""

import torch

torch.set_num_threads(1)
