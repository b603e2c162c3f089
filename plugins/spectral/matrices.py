"""The random matrices of compressed sensing, each as a function from pictures to vectors.

Drawn on the CPU in float32 whatever the device and precision, so that they are the same everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambientkit.interfaces import Shape


@dataclass(frozen=True, eq=False)
class Dense:
    """A as it stands, (m, d)."""

    matrix: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, m)."""
        return images.flatten(1) @ self.matrix.T


@dataclass(frozen=True, eq=False)
class SubsampledDct:
    """A = sqrt(d/m) R T D: signs D, orthonormal transform T, m of its d coefficients R (Do et al., 2012).

    T is the DCT-II along channels, rows and columns, one small orthogonal matrix each.
    """

    signs: Tensor  # (C, H, W), +-1
    transforms: tuple[Tensor, ...]  # (C, C), (H, H), (W, W)
    kept: Tensor  # int64 (m,), ascending
    scale: float

    def __call__(self, images: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, m)."""
        channels, rows, columns = self.transforms
        turned = rows @ (images * self.signs) @ columns.T
        coefficients = (channels @ turned.flatten(2)).flatten(1)
        return coefficients.index_select(1, self.kept) * self.scale


def dense(
    kind: Literal["gaussian", "rademacher"], count: int, values: int, generator: torch.Generator, like: Tensor
) -> Dense:
    """Independent entries of variance 1/m: N(0, 1/m), or +-1/sqrt(m)."""
    if kind == "gaussian":
        entries = torch.randn(count, values, generator=generator)
    else:
        entries = _signs((count, values), generator)
    return Dense((entries / math.sqrt(count)).to(like))


def subsampled_dct(count: int, image_shape: Shape, generator: torch.Generator, like: Tensor) -> SubsampledDct:
    """Signs and kept coefficients drawn uniformly, the latter without repetition."""
    values = math.prod(image_shape)
    signs = _signs(image_shape, generator).to(like)
    kept = torch.randperm(values, generator=generator)[:count].sort().values
    transforms = tuple(_dct(side).to(like) for side in image_shape)
    return SubsampledDct(signs, transforms, kept.to(like.device), math.sqrt(values / count))


def _signs(shape: Shape, generator: torch.Generator) -> Tensor:
    """+1 and -1, as likely as each other."""
    return torch.randint(2, shape, generator=generator) * 2.0 - 1


def _dct(side: int) -> Tensor:
    """Orthonormal DCT-II, (N, N) float64: sqrt(2/N) cos(pi k (j + 1/2) / N), row 0 over sqrt(2)."""
    place = torch.arange(side, dtype=torch.float64)
    matrix = torch.cos(math.pi / side * torch.outer(place, place + 0.5)) * math.sqrt(2 / side)
    matrix[0] /= math.sqrt(2)
    return matrix
