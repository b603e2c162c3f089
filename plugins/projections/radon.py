"""Projections along random directions: rows of a sinogram."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Measurement
from ambientkit.interfaces import Shape, Theta


class PadRotateProject(Measurement):
    """y(a, t) = sum over s of i(R_a (t, s)), i = (x - air) / (1 - air) (AmbientGAN's pad-rotate-project).

    The picture lies in the middle of a square of L x L samples that turns about it; L = `padded_side(H,
    W)`, so that no pixel's middle ever turns out of it. At angle a, in radians, t counts along the
    direction (cos a, -sin a) of (column, row), so a = 0 sums each column, as
    `skimage.transform.radon` does. Samples between pixels are interpolated bilinearly, with air about the
    picture. Linear in x - air.

    AmbientGAN's code sums rows where this sums columns: its angle is this one turned by a right angle,
    which is the same law. It takes the nearest pixel where this interpolates, and its gradient is then only
    approximate. With its pictures of 28 and 64 pixels L is its 40 and 92.

    Traps: without the angles a picture, the same turned and its mirror image give the same law of y, so
    neither orientation nor handedness can be learnt. Air of the wrong value adds a bump as wide as the
    picture to every projection. On CUDA the gradient of `grid_sample` adds up in no fixed order, so its last
    bits differ between runs.
    """

    symmetric = frozenset({"flip"})

    def __init__(self, angles: int = 1, air: float = -1.0, scale: Literal["sum", "mean"] = "sum") -> None:
        self.angles = angles
        self.air = air
        self.scale = scale

    def measured_shape(self, image_shape: Shape) -> Shape:
        """(C, angles, L)."""
        return (image_shape[0], self.angles, padded_side(*image_shape[-2:]))

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"angle": (n, angles)} in radians, independent, uniform in [-pi, pi)."""
        drawn = torch.rand(n, self.angles, generator=generator, device=generator.device)
        return {"angle": (2 * drawn - 1) * math.pi}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """(n, C, angles, L), half precision computed in float32."""
        work = images.to(torch.promote_types(images.dtype, torch.float32))
        side = padded_side(*images.shape[-2:])
        intensity = (work - self.air) / (1 - self.air)
        lines = _sampling_places(theta["angle"].to(work.dtype), side, tuple(images.shape[-2:]))
        turned = functional.grid_sample(intensity, lines, align_corners=False)  # bilinear, 0 outside
        y = turned.reshape(*turned.shape[:2], self.angles, side, side).sum(-2)
        return (y / side if self.scale == "mean" else y).to(images.dtype)


class PadRotateProjectTheta(PadRotateProject):
    """The same with the angles told (AmbientGAN, sec. 4, pad-rotate-project-theta).

    Mirroring y alone would leave the angle beside it wrong by pi, so `flip` is not declared.

    AmbientGAN's code writes each angle behind its projection in y; here the instrument reports it in `known`.
    """

    symmetric = frozenset()

    def known(self, theta: Theta) -> Theta:
        """{"angle": (n, angles)} in radians in [-pi, pi)."""
        return {"angle": theta["angle"]}


def padded_side(height: int, width: int) -> int:
    """L = s + 2 ceil((d - s) / 2), s the longer side and d = sqrt(H^2 + W^2) the diagonal.

    The margins on both sides of s are equal, so at angle 0 samples lie on pixels, not between them.
    """
    longest = max(height, width)
    return longest + 2 * math.ceil((math.hypot(height, width) - longest) / 2)


def _sampling_places(angle: Tensor, side: int, size: tuple[int, ...]) -> Tensor:
    """Where `grid_sample` reads, (n, angles * L, L, 2): L x L samples turned by each `angle` (n, angles)."""
    offset = torch.arange(side, dtype=angle.dtype, device=angle.device) - (side - 1) / 2
    t, s = offset, offset.unsqueeze(-1)
    cos, sin = (f[..., None, None] for f in (angle.cos(), angle.sin()))  # (n, angles, 1, 1)
    down, right = (2 / pixels for pixels in size)  # a pixel's sides, where the picture spans [-1, 1]
    column = t * (cos * right) + s * (sin * right)  # from the picture's middle, (n, angles, L, L)
    row = s * (cos * down) - t * (sin * down)
    return torch.stack([column, row], -1).flatten(1, 2)
