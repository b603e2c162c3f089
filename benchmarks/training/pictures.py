"""Pictures made by the program: smooth, with a little noise, so that a JPEG file has something to say."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

COARSE = 8  # pixels a side that are drawn; the others lie between


def smooth_pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """uint8 (count, 3, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, COARSE, COARSE, generator=generator)
    fine = functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    noise = torch.randn(fine.shape, generator=generator)
    return ((fine + 0.03 * noise).clamp(0, 1) * 255).to(torch.uint8)
