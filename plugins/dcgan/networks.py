"""DCGAN (Radford, Metz and Chintala 2016, sec. 3) with AmbientGAN's 5x5 kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from ambientkit import Generator, Measured
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

from ..judging import NORMS, SLOPE, JudgingNetwork, normalise_spectra
from ..sizes import halvings
from ..trimmed import TrimmedConv2d

WEIGHT_STD = (
    0.02  # sec. 4: "initialized from a zero-centered Normal distribution with standard deviation 0.02"
)
WIDEST = 8  # times the first layer's width


class DcganDiscriminator(JudgingNetwork):
    """Scores (n,) of measurements of `shape` (C, H, W), sides 16 or more.

    With `spectral_norm` the power iteration advances in training mode only, one step an update
    (of each part of it, with `train.accumulate`). Its features are what each convolution makes.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 64,
        norm: str = "none",
        spectral_norm: bool = False,
        mask_channel: bool = True,
    ) -> None:
        channels, height, across = shape
        depth = halvings(height, across)
        widths = [width * min(2**layer, WIDEST) for layer in range(depth)]
        last_map = math.prod(math.ceil(side / 2**depth) for side in (height, across))
        layers = nn.Sequential(
            *halving_layers(channels + mask_channel, widths, norm),
            nn.Flatten(),
            nn.Linear(widths[-1] * last_map, 1),
        )
        taps = [index for index, layer in enumerate(layers) if isinstance(layer, nn.LeakyReLU)]
        super().__init__(layers, taps, mask_channel=mask_channel)
        self.layers.apply(initialise)
        if spectral_norm:
            normalise_spectra(self.layers)


def halving_layers(channels_in: int, widths: Sequence[int], norm: str) -> Iterator[nn.Module]:
    """5x5 convolutions of stride 2 with leaky ReLUs, and a norm after each but the first."""
    for layer, channels in enumerate(widths):
        yield TrimmedConv2d(channels_in, channels, 5, stride=2, padding=2)
        if layer:  # sec. 3: no norm at the discriminator's input
            yield NORMS[norm](channels)
        yield nn.LeakyReLU(SLOPE, inplace=True)
        channels_in = channels


class DcganGenerator(nn.Module, Generator):
    """Pictures of `shape` (C, H, W) from a latent vector: a small map, doubled by 5x5 deconvolutions."""

    completes = False

    def __init__(self, shape: Shape, *, width: int = 64, latent: int = 100) -> None:
        super().__init__()
        channels, height, across = shape
        depth = halvings(height, across)
        widths = [width * min(2**layer, WIDEST) for layer in reversed(range(depth))]
        first_map = (widths[0], height // 2**depth, across // 2**depth)
        self.latent = latent
        self.layers = nn.Sequential(
            nn.Linear(latent, math.prod(first_map)),
            nn.Unflatten(1, first_map),
            *_doubling_layers(widths, channels),
            nn.Tanh(),
        )
        self.layers.apply(initialise)

    def latent_shape(self, image_shape: Shape) -> Shape | None:
        """(latent,)."""
        return (self.latent,)

    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """(n, C, H, W) in [-1, 1]; `measured` is not looked at. Raises PluginError without a latent."""
        if latent is None:
            raise PluginError("dcgan makes pictures from a latent; use a generator that completes (glcic)")
        pictures: Tensor = self.layers(latent)
        return pictures


def _doubling_layers(widths: list[int], channels: int) -> Iterator[nn.Module]:
    """Batch norm and ReLU before each deconvolution, none at the output (sec. 3)."""
    for channels_in, channels_out in zip(widths, [*widths[1:], channels], strict=True):
        yield nn.BatchNorm2d(channels_in)
        yield nn.ReLU(inplace=True)
        yield nn.ConvTranspose2d(channels_in, channels_out, 5, stride=2, padding=2, output_padding=1)


def initialise(module: nn.Module) -> None:
    """First weights of a layer (sec. 4); biases are 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=WEIGHT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
