"""GLCIC's completion network (Iizuka, Simo-Serra and Ishikawa 2017, sec. 3.2 and table 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from ..completing import NORMS, CompletionNetwork, Convolution, initialised
from ..trimmed import TrimmedConv2d


@dataclass(frozen=True)
class Layer:
    """A row of the paper's table; `width` is in units of the first layer's channels."""

    kernel: int
    width: float
    stride: int = 1
    dilation: int = 1
    up: bool = False

    def convolution(self, channels_in: int, channels_out: int) -> Convolution:
        """Its convolution; padding keeps the size, which stride halves and `up` doubles."""
        if self.up:
            return nn.ConvTranspose2d(channels_in, channels_out, self.kernel, self.stride, padding=1)
        padding = self.dilation * (self.kernel // 2)
        return TrimmedConv2d(channels_in, channels_out, self.kernel, self.stride, padding, self.dilation)


def hidden_layers(dilations: Sequence[int]) -> list[Layer]:
    """Layers 1 to 16; the 17th makes the picture."""
    return [
        Layer(5, 1),
        Layer(3, 2, stride=2),
        Layer(3, 2),
        Layer(3, 4, stride=2),
        Layer(3, 4),
        Layer(3, 4),
        *(Layer(3, 4, dilation=dilation) for dilation in dilations),
        Layer(3, 4),
        Layer(3, 4),
        Layer(4, 2, stride=2, up=True),
        Layer(3, 2),
        Layer(4, 1, stride=2, up=True),
        Layer(3, 0.5),
    ]


class Glcic(CompletionNetwork):
    """Completes pictures whose sides are multiples of 4."""

    multiple = 4

    def __init__(
        self,
        channels: int,
        *,
        width: int = 64,
        dilations: Sequence[int] = (2, 4, 8, 16),
        norm: str = "batch",
        mask_channel: bool = True,
        latent_channels: int = 0,
        channels_in: int | None = None,
    ) -> None:
        channels_in = (channels_in or channels) + mask_channel + latent_channels
        layers = nn.Sequential(*_layers(channels_in, channels, width, dilations, norm))
        super().__init__(layers, mask_channel=mask_channel, latent_channels=latent_channels)


def _layers(
    channels_in: int, channels_out: int, width: int, dilations: Sequence[int], norm: str
) -> Iterator[nn.Module]:
    for layer in hidden_layers(dilations):
        channels = int(layer.width * width)
        yield initialised(layer.convolution(channels_in, channels), gain=2.0)
        yield NORMS[norm](channels)
        yield nn.ReLU(inplace=True)
        channels_in = channels
    yield initialised(Layer(3, 0).convolution(channels_in, channels_out), gain=1.0)
