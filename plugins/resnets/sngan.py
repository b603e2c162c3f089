"""The residual discriminator of "Spectral Normalization for GANs" (Miyato et al. 2018, app. B.2, fig. 9)."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from ambientkit.interfaces import Shape

from ..judging import JudgingNetwork, normalise_spectra
from ..sizes import halvings

WIDEST = 8  # times the first block's channels


class SnganDiscriminator(JudgingNetwork):
    """Scores (n,) of measurements of `shape` (C, H, W), sides 16 or more."""

    def __init__(
        self, shape: Shape, *, width: int = 64, spectral_norm: bool = True, mask_channel: bool = True
    ) -> None:
        depth = halvings(shape[1], shape[2])
        widths = [width * min(2**level, WIDEST) for level in range(depth)]
        blocks = [_Block(shape[0] + mask_channel, widths[0], down=True, first=True)]
        blocks += [_Block(a, b, down=True) for a, b in pairwise(widths)]
        blocks += [_Block(widths[-1], widths[-1], down=False)]
        layers = nn.Sequential(*blocks, nn.ReLU(), _SumOverPlaces(), nn.Linear(widths[-1], 1))
        super().__init__(layers, range(len(blocks)), mask_channel=mask_channel)
        self.layers.apply(_initialise)
        if spectral_norm:
            normalise_spectra(self.layers)


class _Block(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one, halved by averaging; the first begins without a ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, down: bool, first: bool = False) -> None:
        super().__init__()
        self.down, self.first = down, first
        inner = channels_out if first or down else channels_in
        self.one = nn.Conv2d(channels_in, inner, 3, padding=1)
        self.two = nn.Conv2d(inner, channels_out, 3, padding=1)
        self.beside = nn.Conv2d(channels_in, channels_out, 1) if first or down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) to (n, channels_out, h, w), or half the sides."""
        inner = self.one(x if self.first else functional.relu(x))
        branch, beside = self.two(functional.relu(inner)), self.beside(x)
        if not self.down:
            return branch + beside  # type: ignore[no-any-return]
        return functional.avg_pool2d(branch + beside, 2, ceil_mode=True)


class _SumOverPlaces(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        gain = 1.0 if module.weight.shape[-1] == 1 else math.sqrt(2.0)
        nn.init.xavier_uniform_(module.weight, gain)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
