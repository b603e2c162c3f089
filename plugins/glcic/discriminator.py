"""GLCIC's discriminator: one look at the whole picture, one at what was made (sec. 3.3, tables 2 to 4)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from ambientkit import Discriminator, View
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

from ..dcgan.networks import WIDEST, halving_layers, initialise
from ..judging import normalise_spectra, with_mask
from ..sizes import halvings

CODE = 16  # length of each side's code, in units of the first layer's channels (1024 of 64 in the paper)


class GlcicDiscriminator(nn.Module, Discriminator):
    """Scores (n,) of measurements of `shape` (C, H, W), sides 16 or more.

    The local side sees a window of half the sides, centred on `view.region` and pushed inside the
    picture; the middle, where nothing was made. Both codes are joined by one linear layer.
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
        super().__init__()
        self.mask_channel = mask_channel
        self.window = (shape[1] // 2, shape[2] // 2)
        channels = shape[0] + mask_channel
        self.whole = _side(channels, shape[1:], width, norm)
        self.local = _side(channels, self.window, width, norm)
        self.join = nn.Linear(2 * CODE * width, 1)
        self.apply(initialise)
        if spectral_norm:
            normalise_spectra(self)

    def forward(self, view: View) -> Tensor:
        """Raw scores (n,). Raises PluginError where the region, or a mask that is asked for, is missing."""
        whole, local = self._inputs(view)
        codes = torch.cat([self.whole(whole), self.local(local)], dim=1)
        scores: Tensor = self.join(functional.leaky_relu(codes, 0.2))
        return scores.squeeze(1)

    def features(self, view: View) -> list[Tensor]:
        """The maps of the whole, then those of the window, first to last."""
        whole, local = self._inputs(view)
        return [*_maps(self.whole, whole), *_maps(self.local, local)]

    def _inputs(self, view: View) -> tuple[Tensor, Tensor]:
        if view.region is None:
            raise PluginError("glcic: nothing says which pixels were made; use a sensor that hides pixels")
        whole = with_mask(view, self.mask_channel, "glcic")
        return whole, cropped(whole, view.region, self.window)


def _side(channels: int, size: Shape, width: int, norm: str) -> nn.Sequential:
    depth = max(1, halvings(*size))
    widths = [width * min(2**layer, WIDEST) for layer in range(depth)]
    last_map = math.prod(math.ceil(side / 2**depth) for side in size)
    code = nn.Linear(widths[-1] * last_map, CODE * width)
    return nn.Sequential(*halving_layers(channels, widths, norm), nn.Flatten(), code)


def _maps(side: nn.Sequential, x: Tensor) -> Iterator[Tensor]:
    """What each convolution makes, after its leaky ReLU."""
    for layer in side[:-2]:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            yield x


def cropped(pictures: Tensor, region: Tensor, window: tuple[int, int]) -> Tensor:
    """Windows (n, C, *window) of `pictures` (n, C, H, W), centred on where `region` (n, 1, H, W) is not 0."""
    there = region[:, 0] > 0
    rows = _places(there.any(2), window[0])[:, :, None]
    columns = _places(there.any(1), window[1])[:, None, :]
    batch = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    return pictures.permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)


def _places(there: Tensor, length: int) -> Tensor:
    """Indices (n, length) of a span around the middle of the first and last True of each row."""
    side = there.shape[1]
    first = there.int().argmax(1)
    last = side - 1 - there.int().flip(1).argmax(1)
    start = ((first + last + 1) // 2 - length // 2).clamp(0, side - length)
    return start[:, None] + torch.arange(length, device=there.device)
