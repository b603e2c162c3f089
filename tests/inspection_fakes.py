"""Sensors with small, countable laws of what they observe, for the tests of inspections."""

from __future__ import annotations

from typing import Literal

import torch

from ambientkit import Component, Context, MaskingMeasurement, Measurement, Options, hookimpl

AMBIENTKIT_HOOK_API = 1
namespace = "laws"

Kind = Literal["block", "sometimes_whole", "corner_never", "halves", "dropout", "rows", "nothing"]


class MasksOptions(Options):
    """A masking sensor of one of a few laws, of which it proves nothing unless told to."""

    law: Kind = "block"
    """Which pixels are hidden."""
    size: int = 6
    """Side of the block."""
    rate: float = 0.5
    """Chance of a pixel, or of a picture, to lose something."""
    exact: bool = True
    """Observed pixels are the picture's; else they are doubled."""
    claim: str = ""
    """A verdict that it claims; `raise`: it fails instead."""

    def facts(self):
        return frozenset({"observed", "random", "pixelwise"} | ({"exact"} if self.exact else set()))

    def identifiability(self, context: Context):
        assert context.image_shape is not None
        if self.claim == "raise":
            raise KeyError("no theorem")
        return (self.claim, "because it says so") if self.claim else None


class Masks(MaskingMeasurement):
    def __init__(self, options: MasksOptions) -> None:
        self.options = options
        self.exact = options.exact

    def sample(self, n, image_shape, generator):
        return {"hidden": getattr(self, self.options.law)(n, *image_shape[-2:], generator)}

    def observed(self, theta, image_shape):
        return ~theta["hidden"]

    def measure(self, images, theta):
        return super().measure(images if self.exact else images * 2, theta)

    def block(self, n, height, width, generator):
        size = self.options.size
        top, left = (
            torch.randint(side - size + 1, (n, 1, 1, 1), generator=generator) for side in (height, width)
        )
        row, column = torch.arange(height).view(-1, 1), torch.arange(width)
        return (row >= top) & (row < top + size) & (column >= left) & (column < left + size)

    def sometimes_whole(self, n, height, width, generator):
        none = torch.rand(n, 1, 1, 1, generator=generator) < 0.01
        return self.block(n, height, width, generator) & ~none

    def corner_never(self, n, height, width, generator):
        hidden = self.block(n, height, width, generator)
        hidden[:, :, 0, :2] = True
        return hidden

    def halves(self, n, height, width, generator):
        right = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
        return ((torch.arange(width) >= width // 2) == right).expand(n, 1, height, width)

    def dropout(self, n, height, width, generator):
        return torch.rand(n, 1, height, width, generator=generator) < self.options.rate

    def rows(self, n, height, width, generator):
        return (torch.rand(n, 1, height, 1, generator=generator) < self.options.rate).expand(
            -1, -1, -1, width
        )

    def nothing(self, n, height, width, generator):
        return torch.ones(n, 1, height, width, dtype=torch.bool)


class ChannelsOptions(Options):
    """Hides pixels of each channel apart."""

    def facts(self):
        return frozenset({"exact", "observed", "random", "pixelwise"})


class Channels(MaskingMeasurement):
    def sample(self, n, image_shape, generator):
        return {"hidden": torch.rand(n, *image_shape, generator=generator) < 0.25}

    def observed(self, theta, image_shape):
        return ~theta["hidden"]


class GrainOptions(Options):
    """y = x / 2 + 0.25 + noise, without a mask."""

    sigma: float = 0.1
    """Standard deviation."""

    def facts(self):
        return frozenset({"random", "pixelwise"})


class Grain(Measurement):
    pixelwise = True

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def sample(self, n, image_shape, generator):
        return {"noise": self.sigma * torch.randn(n, *image_shape, generator=generator)}

    def measure(self, images, theta):
        return images / 2 + 0.25 + theta["noise"]


class SumsOptions(Options):
    """Sums along an axis: no picture. The instrument reports a number."""

    axes: int = 1
    """Axes of a measurement: 1 a vector, 2 a sinogram, 4 more than a picture has."""

    def facts(self):
        return frozenset({"random", "reshapes"})


class Sums(Measurement):
    def __init__(self, axes: int) -> None:
        self.axes = axes

    def measured_shape(self, image_shape):
        channels, height, width = image_shape
        return {1: (width,), 2: (height, channels), 4: (2, channels, height, width)}[self.axes]

    def sample(self, n, image_shape, generator):
        return {"gain": torch.rand(n, generator=generator)}

    def measure(self, images, theta):
        gained = images * theta["gain"].view(-1, 1, 1, 1)
        if self.axes == 4:
            return torch.stack([gained, -gained], 1)
        return gained.sum((1, 2)) if self.axes == 1 else gained.sum(3).mT

    def known(self, theta):
        return {"gain": theta["gain"]}


@hookimpl
def register_measurements():
    yield Component("masks", MasksOptions, lambda options, context: Masks(options))
    yield Component("channels", ChannelsOptions, lambda options, context: Channels())
    yield Component("grain", GrainOptions, lambda options, context: Grain(options.sigma))
    yield Component("sums", SumsOptions, lambda options, context: Sums(options.axes))
