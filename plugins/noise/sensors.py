"""The noisy sensors: all randomness is in theta, nuisance that is forgotten once a picture is measured.

None says which pixels it observed: every pixel of y shows something of its pixel of x (or, under salt and
pepper, the instrument does not know which do), and none shows it exactly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ambientkit import Measurement
from ambientkit.interfaces import Shape, Theta

from .poisson import poisson_quantile


class _Noise(Measurement):
    """Noise that is independent from pixel to pixel, so that mirrored pictures have the same law."""

    pixelwise = True
    symmetric = frozenset({"flip"})


class GaussianNoise(_Noise):
    """y = x + sigma * e, e ~ N(0, 1) for every pixel and channel (AmbientGAN, sec. 4, convolve+noise).

    `lowest`, `highest`: sigma on [-1, 1], drawn uniformly between them for each picture; AmbientGAN's s for
    MNIST is on [0, 1], so sigma = 2 s here. y is not clipped: clipping would move the mean, so that a
    measurement leaves [-1, 1].
    """

    def __init__(self, lowest: float, highest: float, report_sigma: bool = False) -> None:
        self.lowest = lowest
        self.highest = highest
        self.report_sigma = report_sigma

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"noise": float32 (n, C, H, W), as it is added; "sigma": float32 (n,)}."""
        drawn = torch.rand(n, generator=generator, device=generator.device)
        sigma = self.lowest + (self.highest - self.lowest) * drawn
        noise = torch.randn(n, *image_shape, generator=generator, device=generator.device)
        return {"noise": noise.mul_(sigma.view(-1, 1, 1, 1)), "sigma": sigma}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """y = x + noise, unclipped."""
        return (images + theta["noise"]).to(images.dtype)

    def known(self, theta: Theta) -> Theta | None:
        """{"sigma": (n,)} where the instrument reports its noise level."""
        return {"sigma": theta["sigma"]} if self.report_sigma else None


class PoissonNoise(_Noise):
    """y = 2 (N - dark) / peak - 1, N ~ Poisson(peak (x + 1) / 2 + dark): photon counts.

    `peak`: mean photons of white; `dark`: mean counts of black, which are subtracted again, so that E y = x
    and Var y = (4 / peak^2) * (peak (x + 1) / 2 + dark). With dark counts y may lie below -1, and it is not
    clipped at 1. Where x < -1, the light counts as 0.

    N is the quantile of a uniform number: measuring draws nothing, and with the same theta a brighter pixel
    never has fewer counts. The uniform numbers are float32, multiples of 2^-24, and stand for the middle of
    their step, so that events rarer than 3e-8 do not occur.
    """

    gradient = "surrogate"
    gradient_reason = (
        "counts are whole numbers, so their derivative is 0 or does not exist; "
        "the gradient is that of their mean, dE[y]/dx = 1 (0 where x < -1)"
    )

    def __init__(self, peak: float, dark: float = 0.0) -> None:
        self.peak = peak
        self.dark = dark

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"uniform": float32 (n, C, H, W) in [0, 1)}."""
        return {"uniform": torch.rand(n, *image_shape, generator=generator, device=generator.device)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """Counts by the inverse distribution function, mapped back to pictures."""
        light = images.masked_fill(images < -1, -1)  # unlike `clamp`, with a gradient at -1
        rate = (light.detach().double() + 1).mul_(self.peak / 2).add_(self.dark)
        counts = poisson_quantile((theta["uniform"].double() + 2.0**-25).clamp_(max=1 - 2.0**-25), rate)
        y = counts.sub_(self.dark).mul_(2 / self.peak).sub_(1).to(images.dtype)
        measured: Tensor = _WithGradientOf.apply(light, y)
        return measured


class _WithGradientOf(torch.autograd.Function):
    """`value`, with the gradient of `carrier`."""

    @staticmethod
    def forward(_ctx: Any, _carrier: Tensor, value: Tensor) -> Tensor:
        return value

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class SaltPepper(_Noise):
    """A pixel turns white or black with probability `p`; otherwise y = x.

    `salt` is the share of hit pixels that turn white; `per_channel` hits each channel on its own.

    The instrument does not know which pixels were hit, so they are nuisance: `observed` is None and `exact`
    False although most pixels are exact, and nothing can be composited. A sensor that knows its dead pixels
    is `block_pixels`.
    """

    def __init__(self, p: float, salt: float = 0.5, per_channel: bool = False) -> None:
        self.p = p
        self.salt = salt
        self.per_channel = per_channel

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"hit": int8 (n, 1 or C, H, W): 1 salt, -1 pepper, 0 left alone}."""
        channels = image_shape[0] if self.per_channel else 1
        drawn = torch.rand(n, channels, *image_shape[1:], generator=generator, device=generator.device)
        hit = (drawn < self.p).to(torch.int8)
        salted = (drawn < self.p * self.salt).to(torch.int8)
        return {"hit": 2 * salted - hit}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """y = 1 at salt, -1 at pepper, x elsewhere."""
        hit = theta["hit"]
        return torch.where(hit == 0, images, hit.to(images.dtype))


class Speckle(_Noise):
    """y = (x + 1) g - 1, so that the intensity (x + 1) / 2 is multiplied by g ~ Gamma(L, 1 / L).

    E g = 1 and Var g = 1 / L where L, `looks`, is the number of independent looks averaged: E y = x, and the
    noise is as strong as the picture is bright, none where it is black. This is the law of multi-look
    radar intensity and of B-mode ultrasound before its logarithm (Goodman, "Speckle Phenomena in Optics",
    2007, sec. 3). The picture stands for intensity, not amplitude. y is not clipped at 1.
    """

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"factor": float32 (n, C, H, W), g above}: the mean of L exponential variables."""
        factor = torch.zeros(n, *image_shape, device=generator.device)
        look = torch.empty_like(factor)
        for _ in range(self.looks):
            factor += look.exponential_(generator=generator)
        return {"factor": factor.div_(self.looks)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """y = (x + 1) g - 1."""
        return ((images + 1) * theta["factor"] - 1).to(images.dtype)
