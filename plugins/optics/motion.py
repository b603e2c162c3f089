"""Blur along a line that differs between pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Measurement
from ambientkit.interfaces import Shape, Theta

from .border import Border
from .options import mirrors_onto_itself, motion_reach


class MotionBlur(Measurement):
    """y = k(length, angle) * x, one kernel a picture for all its channels; neither is reported.

    The kernel is a path of `length` pixels and 1 pixel wide through the middle: at a pixel that lies u
    along and v across the path its weight is clip((length + 1) / 2 - |u|, 0, 1) * max(1 - |v|, 0), and all
    are made to sum to 1. Along a row, an odd length is exactly the mean of that many pixels.

    `length` and `angle` are ranges (pixels, degrees anticlockwise from a row) of independent uniform draws.
    """

    def __init__(
        self,
        length: tuple[float, float],
        angle: tuple[float, float] = (0.0, 180.0),
        border: Border | None = None,
    ) -> None:
        self.length = length
        self.angle = angle
        self.border = border or Border("replicate")
        self.reach = motion_reach(length[1])
        self.random = length[0] < length[1] or angle[0] < angle[1]
        self.symmetric = frozenset({"flip"} if mirrors_onto_itself(angle) else ())

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"angle": (n,) radians, "length": (n,) pixels}. Raises DataError as `Border.check`."""
        self.border.check(self.reach, image_shape)
        low, high = map(math.radians, self.angle)
        return {"angle": _uniform(n, low, high, generator), "length": _uniform(n, *self.length, generator)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """(n, C, H, W), half precision computed in float32. Raises DataError where a picture is too small."""
        work = images.to(torch.promote_types(images.dtype, torch.float32))
        kernels = self.kernels(theta).to(work.dtype).unsqueeze(1)  # (n, 1, k, k)
        padded = self.border.around(work, self.reach).transpose(0, 1)  # pictures as channels: a group each
        return functional.conv2d(padded, kernels, groups=len(images)).transpose(0, 1).to(images.dtype)

    def kernels(self, theta: Theta) -> Tensor:
        """(n, k, k), each summing to 1, k = 2 reach + 1."""
        angle, length = (theta[name].view(-1, 1, 1) for name in ("angle", "length"))
        offset = torch.arange(-self.reach, self.reach + 1, dtype=angle.dtype, device=angle.device)
        right, up = offset.view(1, 1, -1), -offset.view(1, -1, 1)
        along = right * angle.cos() + up * angle.sin()
        across = up * angle.cos() - right * angle.sin()
        weight = ((length + 1) / 2 - along.abs()).clamp(0, 1) * (1 - across.abs()).clamp(min=0)
        return weight / weight.sum((-2, -1), keepdim=True)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(n,) uniform in [low, high)."""
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low
