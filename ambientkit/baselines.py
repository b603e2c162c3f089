"""Completions that need no training, to be set beside a network's.

They take `y` (n, C, H, W) in [-1, 1] and `observed`, bool (n, 1 or C, H, W), and return completed
pictures of y's shape; observed pixels are y's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ambientkit.levels import to_eight_bits, to_float
from ambientkit.poisson import solve_poisson


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
    filled = solve_poisson(torch.zeros_like(y, dtype=torch.float32), y.float(), observed)
    return torch.where(observed, y, filled.to(y.dtype))


def telea_fill(y: Tensor, observed: Tensor) -> Tensor:
    """Fast marching (Telea 2004) with radius 3, in 8 bits, as OpenCV has it; needs `ambientkit[evaluate]`.

    A pixel counts as hidden as soon as one of its channels is.
    """
    import cv2

    return _inpainted(y, observed, lambda picture, hidden: cv2.inpaint(picture, hidden, 3, cv2.INPAINT_TELEA))


def navier_stokes_fill(y: Tensor, observed: Tensor) -> Tensor:
    """Isophotes carried on as a flow (Bertalmio et al. 2001), radius 3, 8 bits, as OpenCV has it."""
    import cv2

    return _inpainted(y, observed, lambda picture, hidden: cv2.inpaint(picture, hidden, 3, cv2.INPAINT_NS))


def biharmonic_fill(y: Tensor, observed: Tensor) -> Tensor:
    """The biharmonic equation in the hole (Damelin and Hoang 2018), as scikit-image has it; slow."""
    from skimage.restoration import inpaint_biharmonic

    def fill(picture: Picture, hidden: Picture) -> Picture:
        filled: Picture = inpaint_biharmonic(picture / 255.0, hidden > 0, channel_axis=-1) * 255.0
        return filled.clip(0, 255)

    return _inpainted(y, observed, fill)


Picture: TypeAlias = "np.ndarray[Any, Any]"


def _inpainted(y: Tensor, observed: Tensor, fill: Callable[[Picture, Picture], Picture]) -> Tensor:
    """Each picture filled in 8 bits, (H, W, C) or for OpenCV's grey ones (H, W, 1), and put back."""
    hidden = (~observed.all(1)).to(torch.uint8).numpy()
    shown = torch.where(observed, y, 0.0)  # OpenCV looks a little at what it is to replace
    pixels = to_eight_bits(shown).permute(0, 2, 3, 1).contiguous().numpy()
    filled = [fill(one, mask) for one, mask in zip(pixels, hidden, strict=True)]
    images = torch.from_numpy(np.stack(filled)).view(len(y), *y.shape[2:], -1).permute(0, 3, 1, 2)
    return torch.where(observed, y, to_float(images, (0.0, 255.0)))


Fill: TypeAlias = Callable[[Tensor, Tensor], Tensor]


EXTRA = "pip install 'ambientkit[evaluate]'"
GREY_OR_COLOUR = (1, 3)  # channels that OpenCV takes


def missing_fills(channels: int) -> dict[str, str]:
    """Why some of the classical fills cannot be had here, by name."""
    opencv = "" if find_spec("cv2") else f"OpenCV is not installed: {EXTRA}"
    if channels not in GREY_OR_COLOUR:
        opencv = f"OpenCV takes pictures of 1 or 3 channels, and these have {channels}"
    skimage = "" if find_spec("skimage") else f"scikit-image is not installed: {EXTRA}"
    reasons = {"Telea": opencv, "Navier-Stokes": opencv, "biharmonic": skimage}
    return {name: reason for name, reason in reasons.items() if reason}


def classical_fills(channels: int, slow: bool = False) -> dict[str, Fill]:
    """The yardsticks of every completing run, by the names that its results show.

    OpenCV's are among them where it is installed and takes the pictures (1 or 3 channels); `slow` adds
    those that take long, where scikit-image is installed.
    """
    fills: dict[str, Fill] = {"mean fill": mean_fill, "harmonic fill": harmonic_fill}
    missing = missing_fills(channels)
    others: dict[str, Fill] = {"Telea": telea_fill}
    if slow:
        others |= {"Navier-Stokes": navier_stokes_fill, "biharmonic": biharmonic_fill}
    return fills | {name: fill for name, fill in others.items() if name not in missing}
