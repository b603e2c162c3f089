"""Atmospheric scattering over flat ground."""

from __future__ import annotations

import torch
from ambientkit import Measurement
from ambientkit.interfaces import Shape, Theta
from torch import Tensor


class Fog(Measurement):
    """y = x t + a (1 - t) + noise with t = exp(-beta d(row)), all in [-1, 1].

    Koschmieder's law is about light in [0, 1]; since the weights t and 1 - t sum to 1, it holds as it is
    for x = 2 J - 1 and a = 2 A - 1. y is not clipped: noise takes it a little out of [-1, 1].
    """

    random = True
    pixelwise = True
    symmetric = frozenset({"flip"})  # distance depends on the row alone

    def __init__(
        self,
        *,
        thickest: float = 0.06,
        dimmest: float = 0.7,
        near: float = 5.0,
        far: float = 100.0,
        horizon: float = 0.3,
        noise: float = 0.02,
        airlight_known: bool = False,
    ) -> None:
        self.thickest, self.dimmest = thickest, dimmest
        self.near, self.far, self.horizon = near, far, horizon
        self.noise = noise
        self.airlight_known = airlight_known

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"beta": (n,) in 1/m, "airlight": (n,) in [-1, 1], "noise": (n, C, H, W)}."""
        device = generator.device
        beta, airlight = torch.rand(2, n, generator=generator, device=device)
        return {
            "beta": self.thickest * beta,
            "airlight": 2 * (self.dimmest + (1 - self.dimmest) * airlight) - 1,
            "noise": self.noise * torch.randn(n, *image_shape, generator=generator, device=device),
        }

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """Foggy, noisy images (n, C, H, W) of the images' dtype."""
        beta, airlight = (theta[name].to(images.dtype)[:, None, None, None] for name in ("beta", "airlight"))
        # Rows of one distance share their transmission: (n, 1, H, 1).
        transmission = torch.exp(-beta * self._distance(images)[:, None])
        return images * transmission + airlight * (1 - transmission) + theta["noise"].to(images.dtype)

    def known(self, theta: Theta) -> Theta | None:
        """{"airlight": (n,)} where it is reported. Never beta or the noise: they would undo the fog."""
        return {"airlight": theta["airlight"]} if self.airlight_known else None

    def _distance(self, images: Tensor) -> Tensor:
        """Metres (H,) to what each row shows.

        A camera that looks over flat ground sees 1 / d grow evenly from the horizon down to the lowest row.
        """
        height = images.shape[-2]
        # A row is where its lower edge is: the lowest is at `near`, however few rows there are.
        row = torch.arange(1, height + 1, device=images.device, dtype=torch.float64) / height
        below = ((row - self.horizon) / (1 - self.horizon)).clamp(min=0)
        return (1 / (1 / self.far + (1 / self.near - 1 / self.far) * below)).to(images.dtype)
