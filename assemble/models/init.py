"""Initial weights. Batch norms start at gamma 1, beta 0 (PyTorch's default), biases at 0, unless a rule says so."""

import math

import torch
from torch import Tensor, nn

# Standard deviation of a normal distribution cut off at two standard deviations; TensorFlow divides by it, so that the
# cut-off distribution has the wanted variance.
_TRUNCATED_STD = 0.87962566103423978


def initialise(model: nn.Module, rule: str) -> None:
    """Fill the layers in place.

    ``tensorflow`` is the official Assemble-ResNet code: convolutions by TF's variance_scaling_initializer at its
    defaults (scale 1, fan-in, truncated normal), the classifier by TF's default (Glorot uniform).
    ``torchvision``: Kaiming normal, fan-out, for convolutions; the classifier as nn.Linear does.
    ``xavier``: Glorot uniform for both (Bag of Tricks, arXiv 1812.01187, section 2.1).
    ``composer``: Kaiming normal, fan-in, for both, gammas uniform in [0, 1), and the classifier's bias at -log K, the
    prior of each of K classes in binary cross-entropy (mosaicml/examples, resnet_imagenet/model.py).
    """
    for module in model.modules():
        if any(weight.is_meta for weight in module.parameters(recurse=False)):
            continue
        if isinstance(module, nn.Conv2d):
            _fill_convolution(module.weight, rule)
        elif isinstance(module, nn.BatchNorm2d) and rule == "composer":
            with torch.no_grad():
                module.weight.mul_(torch.rand_like(module.weight))  # a gamma of zero stays one
        elif isinstance(module, nn.Linear) and rule == "composer":
            nn.init.kaiming_normal_(module.weight)
            nn.init.constant_(module.bias, -math.log(module.out_features))
        elif isinstance(module, nn.Linear) and rule != "torchvision":
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)


def _fill_convolution(weight: Tensor, rule: str) -> None:
    if rule == "torchvision":
        nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    elif rule == "xavier":
        nn.init.xavier_uniform_(weight)
    elif rule == "composer":
        nn.init.kaiming_normal_(weight)
    else:
        std = math.sqrt(1.0 / weight[0].numel()) / _TRUNCATED_STD
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
