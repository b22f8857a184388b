"""Losses on dense targets."""

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch of -sum_k targets * log softmax(logits), for logits and dense targets (B, K). In float32."""
    return F.cross_entropy(logits.float(), targets)
