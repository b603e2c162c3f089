"""PatchGAN (Isola, Zhu, Zhou and Efros 2017, app. 6.1.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from ..dcgan.networks import WIDEST, initialise
from ..judging import NORMS, SLOPE, JudgingNetwork, normalise_spectra


class PatchDiscriminator(JudgingNetwork):
    """Scores (n, 1, h, w): `depth` halvings by 4x4 convolutions, then two more of stride 1."""

    def __init__(
        self,
        channels: int,
        *,
        width: int = 64,
        depth: int = 2,
        norm: str = "none",
        spectral_norm: bool = False,
        mask_channel: bool = True,
    ) -> None:
        widths = [width * min(2**layer, WIDEST) for layer in range(depth + 1)]
        layers = nn.Sequential(*_layers(channels + mask_channel, widths, norm))
        taps = [index for index, layer in enumerate(layers) if isinstance(layer, nn.LeakyReLU)]
        super().__init__(layers, taps, mask_channel=mask_channel)
        self.layers.apply(initialise)
        if spectral_norm:
            normalise_spectra(self.layers)


def _layers(channels_in: int, widths: Sequence[int], norm: str) -> Iterator[nn.Module]:
    for layer, channels in enumerate(widths):
        last = layer == len(widths) - 1
        yield nn.Conv2d(channels_in, channels, 4, stride=1 if last else 2, padding=1)
        if layer:
            yield NORMS[norm](channels)
        yield nn.LeakyReLU(SLOPE, inplace=True)
        channels_in = channels
    yield nn.Conv2d(channels_in, 1, 4, stride=1, padding=1)
