"""Losses on dense targets."""

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the batch mean of -sum_k targets * log softmax(logits), logits and dense targets (B, K), in float32."""
    return F.cross_entropy(logits.float(), targets)
