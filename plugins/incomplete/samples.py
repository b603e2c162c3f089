"""What every reader of incomplete pictures delivers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Samples:
    """Pictures (n, C, H, W), uint8 or float32 in [-1, 1]; hidden bool (n, 1, H, W); a key for each.

    `skipped` names what could not be read.
    """

    images: Tensor
    hidden: Tensor
    keys: list[str]
    skipped: list[str] = field(default_factory=list)


def near_colour(pixels: NDArray[np.uint8], colour: str, tolerance: int) -> NDArray[np.bool_]:
    """Where pixels (..., C, H, W) are within `tolerance` of `#rrggbb` in every channel; (..., H, W)."""
    rgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], dtype=np.int16)
    far = np.abs(pixels.astype(np.int16) - rgb[:, None, None])  # a grey pixel is compared with all three
    near: NDArray[np.bool_] = (far <= tolerance).all(axis=-3)
    return near
