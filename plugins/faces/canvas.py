"""A picture that is painted on layer by layer, with soft edges of about a pixel.

Per pixel there is only arithmetic and square roots, which every processor rounds alike.
"""

from __future__ import annotations

import copy
import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .traits import Colour, Pose

Field: TypeAlias = NDArray[np.float32]


class Canvas:
    """RGB (3, H, W) in 0..1, with picture coordinates x, y and head coordinates u, v.

    x, y run over -1..1 along the shorter side, y down; u, v are the same turned, shifted and
    scaled to the head, whose crown is at v = -1 and whose chin is at v = 1.
    """

    def __init__(self, height: int, width: int, pose: Pose) -> None:
        short = min(height, width)
        self.x: Field = ((np.arange(width, dtype=np.float32) + 0.5) * 2 - width)[None, :] / np.float32(short)
        self.y: Field = ((np.arange(height, dtype=np.float32) + 0.5) * 2 - height)[:, None] / np.float32(
            short
        )
        self.pixel = 2 / short / pose.scale
        dx, dy = (self.x - np.float32(pose.x)), (self.y - np.float32(pose.y))
        cos, sin = np.float32(math.cos(pose.tilt) / pose.scale), np.float32(math.sin(pose.tilt) / pose.scale)
        self.u: Field = cos * dx + sin * dy
        self.v: Field = cos * dy - sin * dx
        self.rgb: Field = np.empty((3, height, width), dtype=np.float32)

    def window(self, left: float, right: float, top: float, bottom: float) -> Canvas:
        """The part of this canvas within these picture coordinates, sharing its pixels."""
        rows, columns = _between(self.y[:, 0], top, bottom), _between(self.x[0], left, right)
        part = copy.copy(self)
        part.x, part.y = self.x[:, columns], self.y[rows]
        part.u, part.v = self.u[rows, columns], self.v[rows, columns]
        part.rgb = self.rgb[:, rows, columns]
        return part

    def inside(self, distance: Field, softness: float = 1.2) -> Field:
        """Coverage 0..1 of the places where `distance` (head units) is negative."""
        cover = distance * np.float32(-1 / (softness * self.pixel))
        cover += np.float32(0.5)
        return np.clip(cover, 0, 1, out=cover)

    def paint(self, cover: Field, colour: Colour | Field) -> None:
        """Lay `colour`, one for all pixels or (3, H, W), over what is there; cover 1 hides it."""
        paint = as_field(colour) - self.rgb
        paint *= cover
        self.rgb += paint

    def shade(self, cover: Field, amount: float) -> None:
        """Darken (amount < 0) or lighten (amount > 0) by a share of what is there."""
        factor = cover * np.float32(amount)
        factor += np.float32(1)
        self.rgb *= factor


def _between(coordinates: Field, low: float, high: float) -> slice:
    first, last = np.searchsorted(coordinates, (low, high))
    return slice(int(first), int(last))


def as_field(colour: Colour | Field) -> Field:
    """A colour as (3, 1, 1), so that it multiplies with (H, W)."""
    return np.asarray(colour, dtype=np.float32).reshape(3, 1, 1) if isinstance(colour, tuple) else colour


def ellipse(u: Field, v: Field, width: float, height: float) -> Field:
    """About the signed distance to an ellipse around the origin; negative inside."""
    du, dv = u * np.float32(1 / width), v * np.float32(1 / height)
    radius: Field = np.sqrt(du * du + dv * dv)
    return (radius - np.float32(1)) * np.float32(min(width, height))


def overlap(first: Field, second: Field) -> Field:
    """Signed distance to what lies in both shapes."""
    return np.maximum(first, second)


def wave(phase: NDArray[Any]) -> Field:
    """A triangle wave in -1..1 of period 1."""
    tooth: Field = np.abs(phase - np.floor(phase) - np.float32(0.5))
    return tooth * np.float32(4) - np.float32(1)
