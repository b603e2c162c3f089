"""What JPEG does to one plane of samples: the block transform, quantisation and the way back.

Everything is whole numbers in float64, where sums and products below 2^53 are exact in any order: results are
the same in every batch and on every device, and the same as libjpeg's ("islow" transform, 13-bit constants).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from ambientkit import Constant

from .rounding import floor, nearest, within

SIDE = 8

# ITU-T T.81, annex K.1, tables K.1 and K.2, row by row
LUMINANCE = Constant(
    (
        (16, 11, 10, 16, 24, 40, 51, 61),
        (12, 12, 14, 19, 26, 58, 60, 55),
        (14, 13, 16, 24, 40, 57, 69, 56),
        (14, 17, 22, 29, 51, 87, 80, 62),
        (18, 22, 37, 56, 68, 109, 103, 77),
        (24, 35, 55, 64, 81, 104, 113, 92),
        (49, 64, 78, 87, 103, 121, 120, 101),
        (72, 92, 95, 98, 112, 100, 103, 99),
    )
)
CHROMINANCE = Constant(
    (
        (17, 18, 24, 47, 99, 99, 99, 99),
        (18, 21, 26, 66, 99, 99, 99, 99),
        (24, 26, 56, 99, 99, 99, 99, 99),
        (47, 66, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
    )
)

# The transform's rows at the four samples left of the middle, times 2^13 sqrt(8); the right half mirrors
# them, with the sign turned in odd rows. They are sums of libjpeg's rounded constants, and so differ by up
# to 1 from the rounded cosines.
_LEFT_HALF = Constant(
    (
        (8192, 8192, 8192, 8192),
        (11363, 9633, 6437, 2260),
        (10703, 4433, -4433, -10703),
        (9633, -2259, -11362, -6436),
        (8192, -8192, -8192, 8192),
        (6437, -11362, 2261, 9633),
        (4433, -10704, 10704, -4433),
        (2260, -6436, 9633, -11363),
    )
)

_SIGNS = Constant([[1], [-1]] * 4)


def tables(base: Constant, quality: Tensor) -> Tensor:
    """Quantisation tables (n, 1, 8, 8) for qualities (n,) of 1..100, by libjpeg's formula."""
    quality = quality.double().view(-1, 1, 1, 1)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((base.like(quality) * percent + 50) / 100).floor().clamp(1, 255)


def through_blocks(plane: Tensor, table: Tensor) -> Tensor:
    """A plane (n, H, W) of samples 0..255, encoded and decoded with tables (n, 1, 8, 8).

    Sides that are no multiples of 8 are continued by their last row and column, as encoders do.
    """
    height, width = plane.shape[-2:]
    padded = continued(plane, -height % SIDE, -width % SIDE)
    decoded = _decoded(_encoded(_blocks(padded) - 128, table), table)
    return _plane(decoded, padded.shape)[:, :height, :width]


def continued(plane: Tensor, rows: int, columns: int) -> Tensor:
    """A plane (n, H, W) with its last row and column repeated."""
    return pad(plane, (0, columns, 0, rows), mode="replicate") if rows or columns else plane


def shifted_right(values: Tensor, bits: int) -> Tensor:
    """`values` / 2^bits, rounded, halves up."""
    return floor(values, 2.0**-bits, 0.5)


def _encoded(blocks: Tensor, table: Tensor) -> Tensor:
    """Quantised coefficients of blocks (n, count, 8, 8); rounded to the nearest, halves away from 0."""
    transform = _transform(blocks)
    rows = shifted_right(blocks @ transform.T, 11)
    return nearest(shifted_right(transform @ rows, 15) / (8 * table))


def _decoded(coefficients: Tensor, table: Tensor) -> Tensor:
    """Samples 0..255 of blocks (n, count, 8, 8)."""
    transform = _transform(coefficients)
    columns = shifted_right(transform.T @ (coefficients * table), 11)
    return within(shifted_right(columns @ transform, 18) + 128, 0, 255)


def _transform(like: Tensor) -> Tensor:
    """The transform, (8, 8)."""
    left = _LEFT_HALF.like(like)
    return torch.cat([left, left.flip(1) * _SIGNS.like(like)], dim=1)


def _blocks(plane: Tensor) -> Tensor:
    """(n, H, W) to (n, count, 8, 8)."""
    n, height, width = plane.shape
    grid = plane.view(n, height // SIDE, SIDE, width // SIDE, SIDE)
    return grid.transpose(2, 3).reshape(n, -1, SIDE, SIDE)


def _plane(blocks: Tensor, shape: torch.Size) -> Tensor:
    """(n, count, 8, 8) back to (n, H, W)."""
    n, height, width = shape
    return blocks.view(n, height // SIDE, width // SIDE, SIDE, SIDE).transpose(2, 3).reshape(n, height, width)
