"""Partial convolutions (Liu et al. 2018, "Image Inpainting for Irregular Holes", sec. 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from ambientkit import Generator, Measured
from ambientkit.errors import PluginError
from torch import Tensor, nn
from torch.nn import functional

WIDEST = 8  # times the first layer's width


class Masked(NamedTuple):
    """Features (n, c, h, w), and bool (n, 1, h, w), True where they are known. Unknown ones are 0."""

    x: Tensor
    known: Tensor


class PartialConv(nn.Module):
    """x' = W (x * m) |window| / |known in it| + b where anything in the window is known, else 0 (eq. 1).

    A place is known afterwards if anything in its window was (eq. 2), so holes shrink from layer to layer.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels_out, 1, 1))
        nn.init.kaiming_normal_(self.convolution.weight, a=0.2)

    def forward(self, masked: Masked) -> Masked:
        """Features and mask of the next layer."""
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        share = functional.avg_pool2d(masked.known.to(masked.x.dtype), kernel, stride, kernel // 2)
        known = share > 0
        x = self.convolution(masked.x) / share.where(known, 1.0) + self.bias
        return Masked(x.where(known, 0.0), known)


class PartialConvolutions(nn.Module, Generator):
    """`depth` halvings, and as many doublings that are joined with what was before them (sec. 3.2)."""

    completes = True

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.multiple = 2**depth
        widths = [width * min(2**level, WIDEST) for level in range(depth)]
        kernels = [7 if level == 0 else 5 if level < 3 else 3 for level in range(depth)]  # as in the paper
        skips = [channels, *widths[:-1]]  # what enters each level, which its doubling is joined with
        after = [width, *widths[:-1]]
        self.down = nn.ModuleList(map(_halving, skips, widths, kernels))
        self.up = nn.ModuleList(map(_joining, widths, skips, after))
        self.leave = nn.Conv2d(width, channels, 1)

    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """Pictures (n, C, H, W) in [-1, 1]. Raises PluginError where measurement or mask is missing."""
        now = _shown(measured)
        before = []
        for layer in self.down:
            before.append(now)
            now = _activated(layer(now))
        for layer, skip in zip(reversed(self.up), reversed(before), strict=True):
            now = _activated(layer(_joined(_doubled(now), skip)))
        made: Tensor = torch.tanh(self.leave(now.x))
        return made


def _halving(channels_in: int, channels_out: int, kernel: int) -> PartialConv:
    return PartialConv(channels_in, channels_out, kernel, stride=2)


def _joining(below: int, skip: int, channels_out: int) -> PartialConv:
    return PartialConv(below + skip, channels_out, 3)


def _shown(measured: Measured | None) -> Masked:
    if measured is None or measured.observed is None:
        raise PluginError("partialconv/unet completes pictures of which it is known what was observed")
    # A pixel counts as known where all its channels are; what a hidden one holds, be it NaN, is not read.
    known = measured.observed.all(1, keepdim=True)
    return Masked(torch.where(known, measured.y, 0.0), known)


def _activated(masked: Masked) -> Masked:
    return Masked(functional.leaky_relu(masked.x, 0.2), masked.known)


def _doubled(masked: Masked) -> Masked:
    x = functional.interpolate(masked.x, scale_factor=2.0)
    known = masked.known.repeat_interleave(2, -2).repeat_interleave(2, -1)
    return Masked(x, known)


def _joined(below: Masked, skip: Masked) -> Masked:
    # One mask for all channels: where either is known, the other's zeros count as known.
    return Masked(torch.cat([below.x, skip.x], 1), below.known | skip.known)
