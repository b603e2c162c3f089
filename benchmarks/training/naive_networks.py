"""GLCIC's completion network and the same discriminator, written out as one would for a single paper."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class CompletionNetwork(nn.Module):
    """From a picture and its mask, 1 where it is hidden, a picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for convolution in _convolutions(width):
            layers += [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width // 2, 3, 3, padding=1), nn.Tanh())

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        """In [-1, 1]."""
        made: Tensor = self.layers(torch.cat([picture, mask], dim=1))
        return made


def _convolutions(width: int) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    w1, w2, w4 = width, 2 * width, 4 * width
    return [
        nn.Conv2d(4, w1, 5, padding=2),
        nn.Conv2d(w1, w2, 3, stride=2, padding=1),
        nn.Conv2d(w2, w2, 3, padding=1),
        nn.Conv2d(w2, w4, 3, stride=2, padding=1),
        nn.Conv2d(w4, w4, 3, padding=1),
        nn.Conv2d(w4, w4, 3, padding=1),
        *(nn.Conv2d(w4, w4, 3, padding=dilation, dilation=dilation) for dilation in (2, 4, 8, 16)),
        nn.Conv2d(w4, w4, 3, padding=1),
        nn.Conv2d(w4, w4, 3, padding=1),
        nn.ConvTranspose2d(w4, w2, 4, stride=2, padding=1),
        nn.Conv2d(w2, w2, 3, padding=1),
        nn.ConvTranspose2d(w2, w1, 4, stride=2, padding=1),
        nn.Conv2d(w1, w1 // 2, 3, padding=1),
    ]


class JudgingNetwork(nn.Module):
    """Scores (n,) of pictures of `size` with their masks, 1 where they are seen."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        depth = int(math.log2(size // 4))
        channels = [4, *(width * min(2**layer, 8) for layer in range(depth))]
        layers: list[nn.Module] = []
        for layer in range(depth):
            convolution = nn.Conv2d(channels[layer], channels[layer + 1], 5, stride=2, padding=2)
            layers += [parametrizations.spectral_norm(convolution), nn.LeakyReLU(0.2)]
        last = nn.Linear(channels[-1] * (size // 2**depth) ** 2, 1)
        self.layers = nn.Sequential(*layers, nn.Flatten(), parametrizations.spectral_norm(last))

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        """Raw."""
        scores: Tensor = self.layers(torch.cat([picture, mask], dim=1))
        return scores.squeeze(1)
