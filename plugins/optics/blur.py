"""Blur by one fixed kernel, with noise: AmbientGAN's convolve+noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Constant, Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta

from .border import Border


class ConvolveNoise(Measurement):
    """y = k * x + n, n ~ N(0, noise^2) for every value alone (AmbientGAN, sec. 4, convolve+noise).

    k is the outer product of `profile` with itself; its weights sum to 1. Traps: AmbientGAN's noise on
    MNIST is told for [0, 1] and is twice that here; its code pads with 0, which is grey for pictures in
    [-1, 1] and black for [0, 1] (see `Border`); y leaves [-1, 1] and must not be clipped, or its law
    differs.
    """

    symmetric = frozenset({"flip"})

    def __init__(self, profile: Sequence[float], noise: float = 0.0, border: Border | None = None) -> None:
        if len(profile) % 2 == 0:
            raise DataError(f"a kernel of {len(profile)} pixels has no middle pixel; use an odd size")
        self.profile = tuple(profile)
        self._weights = Constant(self.profile)
        self.noise = noise
        self.border = border or Border()
        self.random = noise > 0

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"noise": (n, C, H, W)}, or {"nothing": (n, 0)} without noise.

        Raises DataError as `Border.check`.
        """
        self.border.check(len(self.profile) // 2, image_shape)
        if not self.random:
            return {"nothing": torch.empty(n, 0, device=generator.device)}
        drawn = torch.randn(n, *image_shape, generator=generator, device=generator.device)
        return {"noise": drawn.mul_(self.noise)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """(n, C, H, W), half precision computed in float32. Raises DataError where a picture is too small."""
        work = images.to(torch.promote_types(images.dtype, torch.float32))
        y = self._blurred(work)
        if self.random:
            y += theta["noise"]
        return y.to(images.dtype)

    def _blurred(self, images: Tensor) -> Tensor:
        """The kernel over each channel alone."""
        channels, side = images.shape[1], len(self.profile)
        profile = self._weights.like(images)
        kernel = torch.outer(profile, profile).repeat(channels, 1, 1, 1)  # (C, 1, k, k)
        return functional.conv2d(self.border.around(images, side // 2), kernel, groups=channels)


def gaussian_profile(size: int, radius: float) -> list[float]:
    """exp(-t^2 / (2 radius^2)) at the `size` whole pixels about 0, made to sum to 1."""
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weight = torch.exp(-0.5 * (place / radius).square())
    values: list[float] = (weight / weight.sum()).tolist()
    return values


def box_profile(size: int) -> list[float]:
    """`size` equal weights that sum to 1."""
    return [1 / size] * size
