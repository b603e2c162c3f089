"""Fully connected layers over a flat measurement."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ambientkit import Discriminator, View
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

from ..judging import SLOPE, normalise_spectra


class MlpDiscriminator(nn.Module, Discriminator):
    """Scores (n,) of measurements of `shape`, any number of axes, and of what is `known` beside them.

    `known` has the shape of each thing that the instrument reports, without the batch axis; they are
    appended to y by name, as AmbientGAN appends the angle (sec. 4, pad-rotate-project-theta).
    """

    def __init__(
        self,
        shape: Shape,
        known: Mapping[str, Shape],
        *,
        widths: Sequence[int] = (256, 256),
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.known = dict(sorted(known.items()))
        inputs = math.prod(shape) + sum(math.prod(each) for each in self.known.values())
        self.layers = nn.Sequential(*_layers([inputs, *widths]))
        if spectral_norm:
            normalise_spectra(self.layers)

    def forward(self, view: View) -> Tensor:
        """Raw scores (n,). Raises PluginError where something known is missing."""
        scores: Tensor = self.layers(torch.cat([view.y.flatten(1), *self._reported(view)], dim=1))
        return scores.squeeze(1)

    def _reported(self, view: View) -> Iterator[Tensor]:
        for name in self.known:
            if view.known is None or name not in view.known:
                raise PluginError(f"mlp: the measurement came without {name!r}, which the sensor reports")
            yield view.known[name].flatten(1).to(view.y.dtype)


def _layers(widths: Sequence[int]) -> Iterator[nn.Module]:
    """Linear layers from each width to the next, leaky ReLUs between them, one score at the end."""
    for inputs, outputs in pairwise(widths):
        yield _linear(inputs, outputs)
        yield nn.LeakyReLU(SLOPE)
    yield _linear(widths[-1], 1)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)  # He et al. 2015, eq. 14
    nn.init.zeros_(layer.bias)
    return layer
