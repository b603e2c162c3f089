"""Compressed sensing: one fixed random matrix for all pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ambientkit import Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta

from .matrices import dense, subsampled_dct
from .options import Matrix, count_of, count_trouble

Operator = Callable[[Tensor], Tensor]


class CompressedSensing(Measurement):
    """y = A x + n, x all d = C H W values, A fixed (m, d), n ~ N(0, noise^2) (Candes and Tao, 2006).

    A is scaled so that |A x|^2 is |x|^2 in expectation over A. It is a function of `seed` and the picture's
    shape: made on the CPU when first needed, kept for each shape, device and precision, and no part of
    theta, copies or pickles. `amount` is m, or as a float m / d.

    Trap: A has a null space of d - m dimensions that no picture's measurement ever shows; what lies there
    comes from the generator alone. The same seed gives the same A as long as torch's generator draws the
    same numbers.
    """

    def __init__(
        self, amount: float | int = 0.1, matrix: Matrix = "gaussian", seed: int = 0, noise: float = 0.0
    ) -> None:
        self.amount = amount
        self.matrix: Matrix = matrix
        self.seed = seed
        self.noise = noise
        self.random = noise > 0
        self._operators: dict[tuple[Any, ...], Operator] = {}

    def measured_shape(self, image_shape: Shape) -> Shape:
        """(m,). Raises DataError where m is above d, or a dense matrix above 1 GiB."""
        values = math.prod(image_shape)
        trouble = count_trouble(self.amount, values, self.matrix)
        if trouble:
            raise DataError("; ".join(trouble))
        return (count_of(self.amount, values),)

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"noise": (n, m)}, or {"nothing": (n, 0)} without noise. Raises DataError as `measured_shape`."""
        (count,) = self.measured_shape(image_shape)
        if not self.random:
            return {"nothing": torch.empty(n, 0, device=generator.device)}
        drawn = torch.randn(n, count, generator=generator, device=generator.device)
        return {"noise": drawn.mul_(self.noise)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """(n, m), half precision computed in float32. Raises DataError as `measured_shape`."""
        work = images.to(torch.promote_types(images.dtype, torch.float32))
        y = self.operator(tuple(images.shape[1:]), work)(work)
        return (y + theta["noise"] if self.random else y).to(images.dtype)

    def operator(self, image_shape: Shape, like: Tensor) -> Operator:
        """A as a function (n, C, H, W) -> (n, m), on the device and in the precision of `like`."""
        key = (tuple(image_shape), like.device, like.dtype)
        if key not in self._operators:
            (count,) = self.measured_shape(image_shape)
            with torch.inference_mode(False):  # made during inference, A could never be used in training
                self._operators[key] = self._make(count, image_shape, like)
        return self._operators[key]

    def _make(self, count: int, image_shape: Shape, like: Tensor) -> Operator:
        generator = torch.Generator().manual_seed(self.seed)
        if self.matrix == "subsampled_dct":
            return subsampled_dct(count, image_shape, generator, like)
        return dense(self.matrix, count, math.prod(image_shape), generator, like)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_operators": {}}  # made again where needed: A may be large
