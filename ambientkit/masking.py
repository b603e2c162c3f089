"""The base class of sensors that hide pixels and leave the others alone."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from ambientkit.interfaces import Measurement, Shape, Theta


class MaskingMeasurement(Measurement):
    """Hidden pixels are set to `fill` (in [-1, 1]); observed ones equal x bit for bit.

    A subclass writes `sample` and `observed`, no more.
    """

    exact = True
    gradient = "exact"
    pixelwise = True
    fill: float = 0.0

    @abstractmethod
    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1 or C, H, W), True where a pixel is seen."""

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """y = m * x + (1 - m) * fill, by selection, so that hidden NaNs cannot leak (AmbientGAN, sec. 3)."""
        observed = self.observed(theta, tuple(images.shape[1:]))
        return torch.where(observed, images, self.fill)
