"""A completion network of today: residual, with skips between resolutions, and free of normalisation.

Batch norm makes a picture's fill depend on the rest of its batch, and its statistics are wrong wherever
training hides more than use does (a further measurement). Nothing here needs it: residual branches
begin at zero (Zhang, Dauphin and Ma 2019, "Fixup Initialization"), so the network begins as a plain
linear one, and every convolution keeps the scale of what it is given.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ambientkit import Measured

from ..completing import NORMS, CompletionNetwork, initialised
from ..surroundings import pulled_and_pushed

WIDEST = 8  # times the first level's channels
SLOPE = 0.2
GAIN = 2.0 / (1.0 + SLOPE**2)  # He et al. 2015, eq. 14
FAINT = 0.01  # gain of the last layer: first pictures are grey, where tanh has its full slope
NEARLY = 0.98  # of the range: atanh(1) is infinite
HEAD = 32  # channels of an attention head, at most


class ResUNet(CompletionNetwork):
    """Completes pictures whose sides are multiples of 2**depth.

    Full resolution, where a convolution costs most and a hole needs it least, has one convolution at
    either end, joined by a skip: what meets the hole's border is not blurred. All else is done on
    maps of half the size and below.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 24,
        depth: int = 3,
        blocks: int = 1,
        attention: bool = True,
        norm: str = "none",
        mask_channel: bool = True,
        latent_channels: int = 0,
        channels_in: int | None = None,
        from_surroundings: bool = False,
    ) -> None:
        channels_in = (channels_in or channels) + mask_channel + latent_channels
        widths = [max(1, width // 2), *(width * min(2**level, WIDEST) for level in range(depth))]
        layers = nn.Sequential(
            initialised(nn.Conv2d(channels_in, widths[0], 3, padding=1), GAIN),
            nn.LeakyReLU(SLOPE, inplace=True),
            _Level(widths, blocks, attention, norm, at_the_top=True),
            initialised(nn.Conv2d(widths[0], channels, 3, padding=1), FAINT),
        )
        super().__init__(layers, mask_channel=mask_channel, latent_channels=latent_channels)
        self.multiple = 2**depth
        self.from_surroundings = from_surroundings

    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """(n, C, H, W) in [-1, 1]. Raises PluginError where an input that the options ask for is missing."""
        if not self.from_surroundings or measured is None or measured.observed is None:
            return super().forward(measured, latent)
        guess = pulled_and_pushed(measured.y, measured.observed.all(1, keepdim=True))
        added = self.layers(self._input(Measured(guess, measured.observed, measured.known), latent))
        # Noise, or a division by what was kept, takes measurements out of [-1, 1]: atanh must not see that.
        pictures: Tensor = torch.tanh(torch.atanh(NEARLY * guess.clamp(-1, 1)) + added)
        return pictures


class _Level(nn.Module):
    """Down by two, everything below, up again, joined with what came in."""

    def __init__(
        self, widths: list[int], blocks: int, attention: bool, norm: str, at_the_top: bool = False
    ) -> None:
        super().__init__()
        here, below = widths[0], widths[1]
        self.before = _blocks(here, 0 if at_the_top else blocks, norm)
        self.down = initialised(nn.Conv2d(here, below, 3, stride=2, padding=1), 1.0)
        if len(widths) > 2:
            self.inner: nn.Module = _Level(widths[1:], blocks, attention, norm)
        else:
            self.inner = _lowest(below, blocks, attention, norm)
        self.join = initialised(nn.Conv2d(here + below, here, 3, padding=1), GAIN)
        self.after = _blocks(here, 0 if at_the_top else blocks, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(n, here, h, w) to the same shape."""
        x = self.before(x)
        below = functional.interpolate(self.inner(self.down(x)), size=x.shape[-2:], mode="nearest")
        joined = functional.leaky_relu(self.join(torch.cat([x, below], dim=1)), SLOPE)
        result: Tensor = self.after(joined)
        return result


def _lowest(channels: int, blocks: int, attention: bool, norm: str) -> nn.Sequential:
    middle: list[nn.Module] = [_Attention(channels)] if attention else []
    return nn.Sequential(_blocks(channels, blocks, norm), *middle, _blocks(channels, blocks, norm))


def _blocks(channels: int, count: int, norm: str) -> nn.Sequential:
    return nn.Sequential(*(_Residual(channels, norm) for _ in range(count)))


class _Residual(nn.Module):
    """x + branch(x); the branch's last convolution begins at zero."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        first, last = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.branch = nn.Sequential(
            NORMS[norm](channels),
            nn.LeakyReLU(SLOPE),
            initialised(first, GAIN),
            NORMS[norm](channels),
            nn.LeakyReLU(SLOPE, inplace=True),
            initialised(last, 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same shape."""
        result: Tensor = x + self.branch(x)
        return result


class _Attention(nn.Module):
    """x + attention over all places of the map, whatever its size; the branch begins at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = next(n for n in range(max(1, channels // HEAD), 0, -1) if channels % n == 0)
        self.read = initialised(nn.Conv2d(channels, 3 * channels, 1), 1.0)
        self.write = initialised(nn.Conv2d(channels, channels, 1), 0.0)
        self.place = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same shape."""
        n, channels, height, width = x.shape
        scale = (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()  # a place's own, so no other picture's
        heads = (n, self.heads, channels // self.heads, height * width)
        parts = self.read(x * scale + self.place(x * scale)).chunk(3, dim=1)
        query, key, value = (part.reshape(heads).transpose(2, 3) for part in parts)
        seen = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = x + self.write(seen.transpose(2, 3).reshape(n, channels, height, width))
        return result
