"""Sensors that drop pixels, rows or columns, each independently with probability p (AmbientGAN).

AmbientGAN (Bora, Price, Dimakis, ICLR 2018, sec. 4) defines block-pixels in words, "each pixel is
independently set to zero with probability p"; its code draws each channel on its own and multiplies
what it keeps by 1 / (1 - p), `rescale` here.

The trap of units: "zero" is the value 0 of the authors' range. With pictures in [-1, 1] (CelebA,
CIFAR-10) that is mid-grey, `fill` 0. With pictures in [0, 1] (MNIST) it is black, which is -1 here,
and what is rescaled is the distance from black: (x + 1) / 2 / (1 - p) * 2 - 1. Both are

    y = fill + (x - fill) / (1 - p)  where kept,  y = fill  where dropped.

Rescaled values leave [-1, 1]; nothing is clipped, for E[y] = x holds only so.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ambientkit import MaskingMeasurement
from ambientkit.interfaces import Shape, Theta


class Dropout(MaskingMeasurement):
    """What the droppers share. A subclass says what theta keeps; `factors` counts the draws a pixel passes.

    Each pixel or line is dropped with probability `p`, in (0, 1), to the nearest multiple of 2^-16.
    With `per_channel` every channel has draws of its own and `observed` is (n, C, H, W), else
    (n, 1, H, W). `fill` is in [-1, 1]. Any picture size and number of channels is taken.
    """

    symmetric = frozenset({"flip"})
    factors = 1

    def __init__(self, p: float, per_channel: bool = False, rescale: bool = False, fill: float = 0.0) -> None:
        self.p = p
        self.per_channel = per_channel
        self.fill = fill
        self.scale = 1 / (1 - p) ** self.factors if rescale else 1.0
        self.exact = not rescale

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """y = fill where dropped; where kept x, or fill + (x - fill) * scale if rescaled."""
        if not self.exact:
            images = (images - self.fill) * self.scale + self.fill
        return super().measure(images, theta)

    def _channels(self, image_shape: Shape) -> int:
        return image_shape[0] if self.per_channel else 1


class BlockPixels(Dropout):
    """Each pixel is kept with probability 1 - p (AmbientGAN, sec. 4, block-pixels)."""

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"kept": bool (n, 1 or C, H, W)}: of independent pixels, the mask is the shortest account."""
        shape = (n, self._channels(image_shape), *image_shape[-2:])
        return {"kept": kept(shape, self.p, generator)}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """The pixels that are kept, bool (n, 1 or C, H, W)."""
        return theta["kept"]


class DropRows(Dropout):
    """Each row is kept with probability 1 - p."""

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"rows": bool (n, 1 or C, H)}, True where a row is kept."""
        return {"rows": kept((n, self._channels(image_shape), image_shape[-2]), self.p, generator)}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1 or C, H, W), whole rows."""
        return theta["rows"].unsqueeze(-1).repeat(1, 1, 1, image_shape[-1])


class DropColumns(Dropout):
    """Each column is kept with probability 1 - p."""

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"columns": bool (n, 1 or C, W)}, True where a column is kept."""
        return {"columns": kept((n, self._channels(image_shape), image_shape[-1]), self.p, generator)}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1 or C, H, W), whole columns."""
        return theta["columns"].unsqueeze(-2).repeat(1, 1, image_shape[-2], 1)


class DropRowsColumns(Dropout):
    """Rows and columns are dropped; a pixel is seen where both are kept, with probability (1 - p)^2."""

    factors = 2

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"rows": bool (n, 1 or C, H), "columns": bool (n, 1 or C, W)}, True where kept."""
        channels, height, width = self._channels(image_shape), *image_shape[-2:]
        lines = kept((n, channels, height + width), self.p, generator)
        return {"rows": lines[..., :height], "columns": lines[..., height:]}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1 or C, H, W), True where row and column are kept."""
        return theta["rows"].unsqueeze(-1) & theta["columns"].unsqueeze(-2)


def kept(shape: tuple[int, ...], p: float, generator: torch.Generator) -> Tensor:
    """Independent bools, False with probability p to the nearest of 1..65535 times 2^-16.

    They are cut from 64-bit draws, which is several times as fast as a uniform number for each: in eight
    where p is a multiple of 2^-8 (such as 0.5), else in four.
    """
    levels, dtype, parts = (1 << 8, torch.int8, 8) if (p * 256).is_integer() else (1 << 16, torch.int16, 4)
    count = math.prod(shape)
    words = torch.empty(-(-count // parts), dtype=torch.int64, device=generator.device)
    words.random_(-(1 << 63), None, generator=generator)
    threshold = min(max(round(p * levels), 1), levels - 1) - levels // 2
    return (words.view(dtype)[:count] >= threshold).view(shape)
