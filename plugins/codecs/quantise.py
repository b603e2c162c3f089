"""Pixels rounded to a few levels."""

from __future__ import annotations

import torch
from torch import Tensor

from ambientkit import Measurement
from ambientkit.interfaces import Shape, Theta

from .rounding import GRADIENT_REASON, floor, within


class Quantise(Measurement):
    """y = 2 k / (L - 1) - 1 with k = floor((x + 1) (L - 1) / 2 + u), k in 0..L-1: L levels on [-1, 1].

    Without dither u = 1/2: the nearest level, the upper of two as near. Measuring twice changes nothing.
    With dither u is uniform on [0, 1) for every pixel and channel (non-subtractive dither of one step):
    E y = x, at the price of noise whose variance is at most 1 / (L - 1)^2. Values outside [-1, 1] saturate.

    In bfloat16, whose step near 1 is 1/256, levels closer than that fall together.
    """

    pixelwise = True
    symmetric = frozenset({"flip"})
    gradient = "surrogate"
    gradient_reason = GRADIENT_REASON

    def __init__(self, levels: int, dither: bool = False) -> None:
        self.levels = levels
        self.random = dither

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"dither": float32 (n, C, H, W), u above}, or, without dither, {"nothing": (n, 0)}."""
        if not self.random:
            return {"nothing": torch.empty(n, 0, device=generator.device)}
        return {"dither": torch.rand(n, *image_shape, generator=generator, device=generator.device)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """The level that each pixel is rounded to; computed in float32 or, for float64 images, in that."""
        half = (self.levels - 1) / 2
        precise = images.to(torch.promote_types(images.dtype, torch.float32))
        shift = theta["dither"] if self.random else 0.5
        place = floor(within(precise, -1, 1), half, half + shift)
        return within(place, 0, self.levels - 1).div_(half).sub_(1).to(images.dtype)
