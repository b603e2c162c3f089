"""Completions that need no training, to be set beside a network's.

They take `y` (n, C, H, W) in [-1, 1] and `observed`, bool (n, 1 or C, H, W), and return completed
pictures of y's shape; observed pixels are y's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

TOLERANCE = 1e-5  # of the squared residual against its start: far below a grey level
STEPS_A_PIXEL = 4  # conjugate gradients need about as many steps as the hole is wide; mazes a few times more


def mean_fill(y: Tensor, observed: Tensor) -> Tensor:
    """Fill hidden pixels with the mean of the picture's observed ones, channel by channel; 0 without any."""
    known = observed.expand_as(y)
    total = torch.where(known, y, 0.0).sum((2, 3), keepdim=True)
    return torch.where(known, y, total / known.sum((2, 3), keepdim=True).clamp(min=1))


def harmonic_fill(y: Tensor, observed: Tensor) -> Tensor:
    """Fill holes with the smoothest surface: each hidden pixel is the mean of its 4-neighbours.

    The Laplace equation with the observed pixels as boundary values (and no flow across the
    picture's edge), by conjugate gradients. A picture without observed pixels becomes 0.
    """
    hidden = ~observed.expand_as(y)
    boundary = torch.where(hidden, 0.0, y).float()
    degree = _neighbour_sum(torch.ones_like(boundary))

    def laplace(surface: Tensor) -> Tensor:
        return torch.where(hidden, degree * surface - _neighbour_sum(surface), 0.0)

    right = torch.where(hidden, _neighbour_sum(boundary), 0.0)
    filled = _conjugate_gradients(laplace, right, STEPS_A_PIXEL * max(y.shape[2:]))
    return torch.where(hidden, filled.to(y.dtype), y)


def _neighbour_sum(surface: Tensor) -> Tensor:
    total = torch.zeros_like(surface)
    total[..., 1:, :] += surface[..., :-1, :]
    total[..., :-1, :] += surface[..., 1:, :]
    total[..., :, 1:] += surface[..., :, :-1]
    total[..., :, :-1] += surface[..., :, 1:]
    return total


def _conjugate_gradients(operator: Callable[[Tensor], Tensor], right: Tensor, most: int) -> Tensor:
    """Solve operator(x) = right for every picture and channel at once (Hestenes and Stiefel 1952)."""
    x = torch.zeros_like(right)
    residual, direction = right, right
    energy = _energy(right)
    enough = TOLERANCE * energy
    for _ in range(most):
        if bool((energy <= enough).all()):
            break
        along = operator(direction)
        step = _ratio(energy, (direction * along).sum((2, 3), keepdim=True))
        x = x + step * direction
        residual = residual - step * along
        energy, before = _energy(residual), energy
        direction = residual + _ratio(energy, before) * direction
    return x


def _energy(residual: Tensor) -> Tensor:
    return residual.square().sum((2, 3), keepdim=True)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, 0 where a picture is solved already."""
    return torch.where(below > 0, above / below.clamp(min=torch.finfo(below.dtype).tiny), 0.0)


def telea_fill(y: Tensor, observed: Tensor) -> Tensor:
    """Fast marching (Telea 2004) with radius 3, in 8 bits, as OpenCV has it; needs `ambientkit[evaluate]`.

    A pixel counts as hidden as soon as one of its channels is.
    """
    import cv2

    hidden = (~observed.all(1)).to(torch.uint8).numpy()
    pixels = ((y.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    filled = [cv2.inpaint(one, mask, 3, cv2.INPAINT_TELEA) for one, mask in zip(pixels, hidden, strict=True)]
    images = torch.from_numpy(np.stack(filled)).view(len(y), *y.shape[2:], -1).permute(0, 3, 1, 2)
    return torch.where(observed, y, images.float() / 127.5 - 1.0)


Fill: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def classical_fills(channels: int) -> dict[str, Fill]:
    """The yardsticks of every completing run, by the names that its results show.

    Telea's is among them where OpenCV is installed and takes the pictures (1 or 3 channels).
    """
    fills: dict[str, Fill] = {"mean fill": mean_fill, "harmonic fill": harmonic_fill}
    if find_spec("cv2") and channels in (1, 3):
        fills["Telea"] = telea_fill
    return fills
