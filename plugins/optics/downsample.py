"""Lower resolution, with antialiasing."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta


class Downsample(Measurement):
    """y(i, j) = sum over x of a kernel `factor` times as wide as a pixel of y, centred on it.

    `box` is the mean of each square of factor x factor pixels, `bicubic` torch's antialiased bicubic
    interpolation (a = -0.5), whose negative lobes may take y out of [-1, 1]. Theta is empty, (n, 0), and is
    there only to say n. On CUDA the gradient of `bicubic` adds up in no fixed order, so its last bits differ
    between runs.
    """

    random = False
    symmetric = frozenset({"flip"})

    def __init__(self, factor: int, antialias: Literal["box", "bicubic"] = "box") -> None:
        self.factor = factor
        self.antialias = antialias

    def measured_shape(self, image_shape: Shape) -> Shape:
        """(C, H / factor, W / factor). Raises DataError where a side is no multiple of the factor."""
        *channels, height, width = image_shape
        if height % self.factor or width % self.factor:
            raise DataError(
                f"a picture of {height}x{width} has a side that is no multiple of {self.factor}; "
                "use another `factor`, or pictures whose sides are multiples of it"
            )
        return (*channels, height // self.factor, width // self.factor)

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """Nothing to draw: {"nothing": (n, 0)}. Raises DataError as `measured_shape`."""
        self.measured_shape(image_shape)
        return {"nothing": torch.empty(n, 0, device=generator.device)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """(n, C, H / factor, W / factor), half precision computed in float32.

        Raises DataError as `measured_shape`.
        """
        size = self.measured_shape(tuple(images.shape))[-2:]
        work = images.to(torch.promote_types(images.dtype, torch.float32))
        if self.antialias == "box":
            small = functional.avg_pool2d(work, self.factor)
        else:
            small = functional.interpolate(work, size, mode="bicubic", align_corners=False, antialias=True)
        return small.to(images.dtype)
