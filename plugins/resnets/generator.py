"""The residual generator of "Improved training of Wasserstein GANs" (Gulrajani et al. 2017, app. C)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from ambientkit import Generator, Measured
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

from ..completing import NORMS
from ..sizes import halvings


class ResNetGenerator(nn.Module, Generator):
    """Pictures of `shape` (C, H, W) from a latent vector: a small map, doubled by residual blocks."""

    completes = False

    def __init__(self, shape: Shape, *, width: int = 64, latent: int = 128, norm: str = "batch") -> None:
        super().__init__()
        channels, height, across = shape
        depth = halvings(height, across)
        first = (width, height // 2**depth, across // 2**depth)
        self.latent = latent
        self.layers = nn.Sequential(
            nn.Linear(latent, math.prod(first)),
            nn.Unflatten(1, first),
            *(_Block(width, norm) for _ in range(depth)),
            NORMS[norm](width),
            nn.ReLU(),
            nn.Conv2d(width, channels, 3, padding=1),
            nn.Tanh(),
        )
        self.layers.apply(_initialise)

    def latent_shape(self, image_shape: Shape) -> Shape | None:
        """(latent,)."""
        return (self.latent,)

    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """(n, C, H, W) in [-1, 1]; `measured` is not looked at. Raises PluginError without a latent."""
        if latent is None:
            raise PluginError("resnet makes pictures from a latent; use a generator that completes (resunet)")
        pictures: Tensor = self.layers(latent)
        return pictures


class _Block(nn.Module):
    """Twice the sides: nearest neighbours beside norm, ReLU and two 3x3 convolutions."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.larger = nn.Upsample(scale_factor=2, mode="nearest")
        self.branch = nn.Sequential(
            NORMS[norm](channels),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(channels, channels, 3, padding=1),
            NORMS[norm](channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, channels, 2 h, 2 w)."""
        result: Tensor = self.larger(x) + self.branch(x)
        return result


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
