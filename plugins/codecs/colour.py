"""JPEG's colours: luminance and two colour differences, these at half the resolution (4:2:0).

As in `dct`, whole numbers in float64 that equal libjpeg's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ambientkit import Constant

from .dct import continued, shifted_right
from .rounding import floor, within

# JFIF 1.02, times 2^16 and rounded; rows Y, Cb, Cr
_FORWARD = Constant(((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329)))
_ROUND = Constant((32768, 32767 + (128 << 16), 32767 + (128 << 16)))

# rows R, G, B from Cb and Cr less 128
_BACKWARD = Constant(((0, 91881), (-22554, -46802), (116130, 0)))


def to_planes(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """RGB (n, 3, H, W) of 0..255 to Y (n, H, W) and the colour differences (n, 2, H, W), in 0..255."""
    mixed = torch.einsum("pc,nchw->nphw", _FORWARD.like(pixels), pixels)
    planes = floor(mixed, 2.0**-16, _ROUND.like(pixels).view(-1, 1, 1) * 2.0**-16)
    return planes[:, 0], planes[:, 1:]


def to_pixels(luminance: Tensor, colour: Tensor) -> Tensor:
    """The way back, to RGB (n, 3, H, W), clipped to 0..255."""
    mixed = torch.einsum("cp,nphw->nchw", _BACKWARD.like(colour), colour - 128)
    return within(luminance.unsqueeze(1) + shifted_right(mixed, 16), 0, 255)


def halved(plane: Tensor) -> Tensor:
    """Means of 2x2 samples of a plane (n, H, W): (n, ceil(H / 2), 8 ceil(W / 16)).

    Halves are rounded down in even columns and up in odd ones. Columns are continued to whole blocks
    before halving, rows after it, as libjpeg does.
    """
    height, width = plane.shape[-2:]
    even = continued(plane, height % 2, -width % 16)
    total = even[:, 0::2, 0::2] + even[:, 0::2, 1::2] + even[:, 1::2, 0::2] + even[:, 1::2, 1::2]
    bias = 1 + torch.arange(total.shape[-1], device=plane.device) % 2
    return floor(total, 1 / 4, bias / 4)


def doubled(plane: Tensor, height: int, width: int) -> Tensor:
    """A plane (n, ceil(height / 2), ceil(width / 2)) at twice its size, (n, height, width).

    Each sample is 3/4 of the nearest and 1/4 of the next one, in both directions ("fancy upsampling");
    planes of up to two columns are repeated instead, as libjpeg does.
    """
    if plane.shape[-1] <= 2:
        whole = plane.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
    else:
        above, below = 3 * plane + _before(plane, -2), 3 * plane + _after(plane, -2)
        tall = torch.stack([above, below], dim=2).flatten(1, 2)
        left, right = 3 * tall + _before(tall, -1) + 8, 3 * tall + _after(tall, -1) + 7
        whole = floor(torch.stack([left, right], dim=-1).flatten(-2), 1 / 16)
    return whole[:, :height, :width]


def _before(plane: Tensor, dim: int) -> Tensor:
    """The sample before each one along `dim`, the first being its own."""
    size = plane.shape[dim]
    return torch.cat([plane.narrow(dim, 0, 1), plane.narrow(dim, 0, size - 1)], dim)


def _after(plane: Tensor, dim: int) -> Tensor:
    """The sample after each one along `dim`, the last being its own."""
    size = plane.shape[dim]
    return torch.cat([plane.narrow(dim, 1, size - 1), plane.narrow(dim, size - 1, 1)], dim)
