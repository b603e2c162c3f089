"""Pictures in [-1, 1] and in 8 bits, there and back."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float(images: Tensor, value_range: tuple[float, float] = (-1.0, 1.0)) -> Tensor:
    """Float32 in [-1, 1]. The one place where 8 bits become float, so reals and fakes agree to the bit."""
    if images.dtype == torch.uint8:
        return images.float().div_(127.5).sub_(1.0)
    low, high = value_range
    if (low, high) == (-1.0, 1.0):
        return images.float()
    return (images.float() - low) * (2.0 / (high - low)) - 1.0


def to_eight_bits(images: Tensor) -> Tensor:
    """[-1, 1], and what lies beyond at its end, to uint8: k / 127.5 - 1 to k."""
    return images.clamp(-1, 1).add_(1).mul_(127.5).round_().to(torch.uint8)
