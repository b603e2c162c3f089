"""R3GAN's discriminator (Huang, Gokaslan, Kuleshov and Tompkin 2024, sec. 3 and 4)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ambientkit.interfaces import Shape

from ..judging import SLOPE, JudgingNetwork
from ..sizes import halvings

WIDEST = 8  # times the first level's channels
EXPANSION = 2  # channels of a block's inner maps, to those of its input
GAIN = math.sqrt(2.0 / (1.0 + SLOPE**2))  # He et al. 2015, eq. 14


class R3ganDiscriminator(JudgingNetwork):
    """Scores (n,) of measurements of `shape` (C, H, W), sides 16 or more; no layer normalises anything.

    Blocks begin as the identity (their last convolution is 0), with first weights that shrink with the
    number of blocks (Fixup: Zhang, Dauphin and Ma 2019). The last map is read by a weight for each place
    and channel.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 32,
        blocks: int = 1,
        group: int = 16,
        mask_channel: bool = True,
    ) -> None:
        depth = halvings(shape[1], shape[2])
        widths = [width * min(2**level, WIDEST) for level in range(depth + 1)]
        count = blocks * len(widths)
        first = nn.Sequential(
            _convolution(shape[0] + mask_channel, widths[0], 1), *_blocks(widths[0], blocks, group, count)
        )
        levels = [
            nn.Sequential(_Down(), _convolution(a, b, 1), *_blocks(b, blocks, group, count))
            for a, b in pairwise(widths)
        ]
        side = (_halved(shape[1], depth), _halved(shape[2], depth))
        read = nn.Conv2d(widths[-1], widths[-1], side, groups=widths[-1], bias=False)
        head = nn.Linear(widths[-1], 1)
        nn.init.normal_(read.weight, std=1 / math.sqrt(math.prod(side)))
        nn.init.normal_(head.weight, std=1 / math.sqrt(widths[-1]))
        nn.init.zeros_(head.bias)
        layers = nn.Sequential(first, *levels, read, nn.Flatten(), head)
        super().__init__(layers, range(1 + depth), mask_channel=mask_channel)


def _halved(side: int, times: int) -> int:
    for _ in range(times):
        side = math.ceil(side / 2)
    return side


def _blocks(channels: int, blocks: int, group: int, count: int) -> list[nn.Module]:
    return [_Block(channels, group, count) for _ in range(blocks)]


class _Block(nn.Module):
    """x + an inverted bottleneck: 1x1 wider, 3x3 in groups, 1x1 narrow again."""

    def __init__(self, channels: int, group: int, count: int) -> None:
        super().__init__()
        inner = EXPANSION * channels
        shrink = count**-0.25  # of the two convolutions before the one that begins at 0
        self.branch = nn.Sequential(
            _convolution(channels, inner, 1, gain=GAIN * shrink),
            nn.LeakyReLU(SLOPE, inplace=True),
            _convolution(inner, inner, 3, groups=math.gcd(inner, max(1, inner // group)), gain=GAIN * shrink),
            nn.LeakyReLU(SLOPE, inplace=True),
            _convolution(inner, channels, 1, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same shape."""
        result: Tensor = x + self.branch(x)
        return result


class _Down(nn.Module):
    """Half the sides, by the bilinear filter (1, 3, 3, 1) / 8 each way."""

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("filter", torch.outer(row, row), persistent=False)
        self.filter: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, channels, h / 2, w / 2), rounded up; borders are repeated."""
        odd = (1, 1 + x.shape[-1] % 2, 1, 1 + x.shape[-2] % 2)
        padded = functional.pad(x, odd, mode="replicate")
        channels = x.shape[1]
        weight = self.filter.to(x.dtype).expand(channels, 1, 4, 4)
        return functional.conv2d(padded, weight, stride=2, groups=channels)


def _convolution(
    channels_in: int, channels_out: int, size: int, groups: int = 1, gain: float = 1.0
) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, size, padding=size // 2, groups=groups)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(channels_in // groups * size**2))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
