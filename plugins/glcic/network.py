"""GLCIC's completion network (Iizuka, Simo-Serra and Ishikawa 2017, sec. 3.2 and table 1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ambientkit import Generator, Measured
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

Convolution: TypeAlias = nn.Conv2d | nn.ConvTranspose2d


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
        return nn.Conv2d(channels_in, channels_out, self.kernel, self.stride, padding, self.dilation)


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


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "group": lambda channels: nn.GroupNorm(math.gcd(8, channels), channels),
    "none": nn.Identity,
}


class Glcic(nn.Module, Generator):
    """Completes pictures whose sides are multiples of 4.

    The input is y, then (with `mask_channel`) 1 where a pixel is hidden, then (with
    `latent_channels`) a latent map. Where a pixel's channels are hidden apart, it counts as hidden
    as soon as one of them is.
    """

    completes = True
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
    ) -> None:
        super().__init__()
        self.mask_channel = mask_channel
        self.latent_channels = latent_channels
        channels_in = channels + mask_channel + latent_channels
        self.layers = nn.Sequential(*_layers(channels_in, channels, width, dilations, norm))

    def latent_shape(self, image_shape: Shape) -> Shape | None:
        """(latent_channels, H, W), or None where there are none."""
        return (self.latent_channels, *image_shape[-2:]) if self.latent_channels else None

    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """(n, C, H, W) in [-1, 1]. Raises PluginError where an input that the options ask for is missing."""
        pictures: Tensor = torch.tanh(self.layers(self._input(measured, latent)))
        return pictures

    def _input(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        if measured is None:
            raise PluginError("glcic completes measurements; use a generator with a latent to make pictures")
        parts = [measured.y]
        if self.mask_channel:
            if measured.observed is None:
                raise PluginError("glcic: the sensor says not what it hides; set mask_channel: false")
            parts.append((~measured.observed.all(1, keepdim=True)).to(measured.y.dtype))
        if self.latent_channels:
            if latent is None:
                raise PluginError("glcic: latent_channels is set, but no latent was given")
            parts.append(latent)
        return torch.cat(parts, dim=1)


def _layers(
    channels_in: int, channels_out: int, width: int, dilations: Sequence[int], norm: str
) -> Iterator[nn.Module]:
    for layer in hidden_layers(dilations):
        channels = int(layer.width * width)
        yield _initialised(layer.convolution(channels_in, channels), gain=2.0)
        yield NORMS[norm](channels)
        yield nn.ReLU(inplace=True)
        channels_in = channels
    yield _initialised(Layer(3, 0).convolution(channels_in, channels_out), gain=1.0)


def _initialised(convolution: Convolution, gain: float) -> Convolution:
    """Normal weights of variance gain / inputs of an output pixel (He et al. 2015, eq. 10), zero biases.

    It keeps the scale of activations from layer to layer, so that the network trains without norms.
    """
    inputs = convolution.in_channels * math.prod(convolution.kernel_size)
    if isinstance(convolution, nn.ConvTranspose2d):  # an output pixel sees a stride-th of the taps a side
        inputs //= math.prod(convolution.stride)
    nn.init.normal_(convolution.weight, std=math.sqrt(gain / inputs))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
