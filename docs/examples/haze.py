"""A sensor in twenty lines: haze of random density and a little noise."""

import torch
from pydantic import Field

from ambientkit import Component, Measurement, Options, hookimpl

AMBIENTKIT_HOOK_API = 1


class HazeOptions(Options):
    """White haze of random density over the whole picture, and Gaussian noise."""

    densest: float = Field(0.6, ge=0, lt=1)
    """Largest density: 0 is clear, 1 is white."""
    noise: float = Field(0.05, ge=0)
    """Standard deviation of the noise, for pictures in [-1, 1]."""


class Haze(Measurement):
    def __init__(self, densest: float, noise: float) -> None:
        self.densest, self.noise = densest, noise

    def sample(self, n, image_shape, generator):
        draw = {"generator": generator, "device": generator.device}
        density = self.densest * torch.rand(n, 1, 1, 1, **draw)
        return {"density": density, "noise": self.noise * torch.randn(n, *image_shape, **draw)}

    def measure(self, images, theta):
        density, noise = (theta[name].to(images.dtype) for name in ("density", "noise"))
        return images * (1 - density) + density + noise


@hookimpl
def register_measurements():
    yield Component("haze", HazeOptions, lambda options, context: Haze(options.densest, options.noise))
