"""What all completion networks share: their input, their output, norms and first weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from ambientkit import Context, Generator, Measured
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

Convolution: TypeAlias = nn.Conv2d | nn.ConvTranspose2d
C = TypeVar("C", bound=Convolution)

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "group": lambda channels: nn.GroupNorm(math.gcd(8, channels), channels),
    "none": nn.Identity,  # takes the number of channels, and needs none
}


class CompletionNetwork(nn.Module, Generator):
    """Measured pictures in, pictures in [-1, 1] out, by way of `layers`.

    The input is y, then (with `mask_channel`) 1 where a pixel is hidden, then (with
    `latent_channels`) a latent map. Where a pixel's channels are hidden apart, it counts as hidden
    as soon as one of them is.
    """

    completes = True

    def __init__(self, layers: nn.Module, *, mask_channel: bool, latent_channels: int) -> None:
        super().__init__()
        self.mask_channel = mask_channel
        self.latent_channels = latent_channels
        self.layers = layers

    def latent_shape(self, image_shape: Shape) -> Shape | None:
        """(latent_channels, H, W), or None where there are none."""
        return (self.latent_channels, *image_shape[-2:]) if self.latent_channels else None

    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """(n, C, H, W) in [-1, 1]. Raises PluginError where an input that the options ask for is missing."""
        pictures: Tensor = torch.tanh(self.layers(self._input(measured, latent)))
        return pictures

    def _input(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        if measured is None:
            raise PluginError(
                f"{self._name} completes measurements; use a generator with a latent to make pictures"
            )
        parts = [measured.y]
        if self.mask_channel:
            if measured.observed is None:
                raise PluginError(f"{self._name}: the sensor says not what it hides; set mask_channel: false")
            parts.append((~measured.observed.all(1, keepdim=True)).to(measured.y.dtype))
        if self.latent_channels:
            if latent is None:
                raise PluginError(f"{self._name}: latent_channels is set, but no latent was given")
            parts.append(latent)
        return torch.cat(parts, dim=1)

    @property
    def _name(self) -> str:
        return type(self).__name__.lower()


def channels_of(context: Context, name: str) -> tuple[int, int]:
    """Channels of what `name` reads, a measurement as large as the picture, and of what it makes.

    Raises PluginError where the shapes are not known, or the measurement is no such picture.
    """
    shape = context.image_shape
    if shape is None:
        raise PluginError(
            f"{name}: the pictures' shape is not known; build it with context=Context(image_shape=(C, H, W))"
        )
    measured = context.measured_shape or shape
    if len(measured) != 3 or measured[1:] != shape[1:]:
        raise PluginError(
            f"{name} reads measurements as large as the pictures {shape}, and these are {measured}; "
            "use a generator that makes pictures from a latent"
        )
    return measured[0], shape[0]


def initialised(convolution: C, gain: float) -> C:
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
