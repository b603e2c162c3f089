"""A completion network with skip connections (Ronneberger, Fischer and Brox 2015, fig. 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..completing import NORMS, CompletionNetwork, initialised

WIDEST = 8  # times the first level's channels
SLOPE = 0.2


class UNet(CompletionNetwork):
    """Completes pictures whose sides are multiples of 2**depth.

    What is known just outside a hole reaches the last layers at full resolution, so fills meet their
    surroundings; the levels below see the whole picture.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 32,
        depth: int = 3,
        norm: str = "group",
        mask_channel: bool = True,
        latent_channels: int = 0,
        channels_in: int | None = None,
    ) -> None:
        channels_in = (channels_in or channels) + mask_channel + latent_channels
        widths = [width * min(2**level, WIDEST) for level in range(depth + 1)]
        first = _block(channels_in, width, norm)
        last = initialised(nn.Conv2d(width, channels, 3, padding=1), gain=1.0)
        layers = nn.Sequential(first, _Level(widths, norm), last)
        super().__init__(layers, mask_channel=mask_channel, latent_channels=latent_channels)
        self.multiple = 2**depth


class _Level(nn.Module):
    """Down by two, everything below, up again, joined with what came in."""

    def __init__(self, widths: list[int], norm: str) -> None:
        super().__init__()
        here, below = widths[0], widths[1]
        self.down = _block(here, below, norm, stride=2)
        inner = _Level(widths[1:], norm) if len(widths) > 2 else _block(below, below, norm)
        self.inner = nn.Sequential(_block(below, below, norm), inner)
        self.join = _block(here + below, here, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(n, here, h, w) to the same shape."""
        below = self.inner(self.down(x))
        wide = functional.interpolate(below, size=x.shape[-2:], mode="nearest")
        joined: Tensor = self.join(torch.cat([x, wide], dim=1))
        return joined


def _block(channels_in: int, channels_out: int, norm: str, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
    gain = 2.0 / (1.0 + SLOPE**2)  # He et al. 2015, eq. 14
    return nn.Sequential(
        initialised(convolution, gain), NORMS[norm](channels_out), nn.LeakyReLU(SLOPE, inplace=True)
    )
