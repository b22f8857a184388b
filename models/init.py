"""Initial weights. Batch norms start at gamma 1, beta 0 (PyTorch's default), biases at 0."""

import math
from typing import Literal

from torch import nn

# Standard deviation of a normal distribution cut off at two standard deviations; TensorFlow divides by it, so that the
# cut-off distribution has the wanted variance.
_TRUNCATED_STD = 0.87962566103423978


def initialise(model: nn.Module, rule: Literal["tensorflow", "torchvision"]) -> None:
    """Fill convolutions and linear layers in place.

    ``tensorflow`` is the official Assemble-ResNet code: convolutions by TF's variance_scaling_initializer at its
    defaults (scale 1, fan-in, truncated normal), the classifier by TF's default (Glorot uniform).
    ``torchvision``: Kaiming normal, fan-out, for convolutions; the classifier as nn.Linear does.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.is_meta:
            continue
        if isinstance(module, nn.Conv2d):
            if rule == "torchvision":
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                continue
            fan_in = module.weight[0].numel()
            std = math.sqrt(1.0 / fan_in) / _TRUNCATED_STD
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        elif isinstance(module, nn.Linear) and rule == "tensorflow":
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
