"""Sound sensors, and faulty ones whose declarations, draws or measurements break a promise."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch.nn.functional import conv2d

from ambientkit import MaskingMeasurement, Measurement

SHAPE = (3, 16, 20)


# Sound sensors ----------------------------------------------------------------------------------


class Speckled(MaskingMeasurement):
    """Hides single pixels at random; exact."""

    fill = 0.25
    symmetric = frozenset({"flip"})

    def sample(self, n, image_shape, generator):
        drawn = torch.rand(n, 1, *image_shape[1:], generator=generator, device=generator.device)
        return {"kept": drawn < 0.6}

    def observed(self, theta, image_shape):
        return theta["kept"]


class Noisy(Measurement):
    """Adds noise to every pixel."""

    pixelwise = True
    symmetric = frozenset({"flip"})

    def sample(self, n, image_shape, generator):
        return {"noise": 0.1 * torch.randn(n, *image_shape, generator=generator, device=generator.device)}

    def measure(self, images, theta):
        return images + theta["noise"].to(images.dtype)


class Rounded(Measurement):
    """Few grey levels; the gradient passes straight through."""

    random = False
    pixelwise = True
    gradient = "surrogate"
    gradient_reason = "rounding has derivative 0; the gradient of the unrounded image stands in"
    symmetric = frozenset({"flip"})

    def sample(self, n, image_shape, generator):
        return {"nothing": torch.empty(n, 0, device=generator.device)}

    def measure(self, images, theta):
        return images + (torch.round(images * 4) / 4 - images).detach()


class Rows(Measurement):
    """Sums along one of two directions, which the instrument reports: a vector a channel."""

    def measured_shape(self, image_shape):
        return (image_shape[0], min(image_shape[1:]))

    def sample(self, n, image_shape, generator):
        drawn = torch.randint(2, (n,), generator=generator, device=generator.device)
        return {"across": drawn.bool()}

    def measure(self, images, theta):
        side = min(images.shape[2:])
        sums = [images.mean(3)[:, :, :side], images.mean(2)[:, :, :side]]
        return torch.where(theta["across"][:, None, None], *sums)

    def known(self, theta):
        return dict(theta)


class Window(MaskingMeasurement):
    """Shows one window of 6x7 pixels."""

    fill = -1.0
    last = 1

    def sample(self, n, image_shape, generator):
        at = {"generator": generator, "device": generator.device}
        height, width = (max(1, side) for side in (image_shape[1] - 6, image_shape[2] - 7))
        return {
            "top": torch.randint(height + self.last, (n,), **at),
            "left": torch.randint(width + self.last, (n,), **at),
        }

    def observed(self, theta, image_shape):
        device = theta["top"].device
        rows = torch.arange(image_shape[1], device=device) - theta["top"][:, None]
        columns = torch.arange(image_shape[2], device=device) - theta["left"][:, None]
        seen = ((rows >= 0) & (rows < 6))[:, :, None] & ((columns >= 0) & (columns < 7))[:, None, :]
        return seen.unsqueeze(1)


SOUND = {"speckled": Speckled, "noisy": Noisy, "rounded": Rounded, "rows": Rows, "window": Window}


# Declarations -----------------------------------------------------------------------------------


class GradientMisspelt(Noisy):
    gradient = "exactly"


class SymmetryMisspelt(Noisy):
    symmetric = frozenset({"flips"})


class ExactIsText(Noisy):
    exact = ""


class FillIsNaN(Speckled):
    fill = float("nan")

    def measure(self, images, theta):
        return torch.where(theta["kept"], images, 0.25)


class SurrogateWithoutReason(Rounded):
    gradient_reason = " "


# Draws ------------------------------------------------------------------------------------------


class ThetaIsNoDict(Noisy):
    def sample(self, n, image_shape, generator):
        return super().sample(n, image_shape, generator)["noise"]


class ThetaIsEmpty(Rounded):
    def sample(self, n, image_shape, generator):
        return {}


class OneNoiseForAll(Noisy):
    """The first axis is 1, which broadcasts."""

    def sample(self, n, image_shape, generator):
        return super().sample(1, image_shape, generator)


class ThetaHoldsANumber(Noisy):
    def sample(self, n, image_shape, generator):
        return super().sample(n, image_shape, generator) | {"scale": 0.1}


class OwnGenerator(Noisy):
    """Draws from a generator of its own, which goes on from call to call."""

    def __init__(self):
        self.numbers = np.random.default_rng(0)

    def sample(self, n, image_shape, generator):
        return {"noise": torch.from_numpy(self.numbers.normal(0, 0.1, (n, *image_shape))).float()}


class FixedSeed(Noisy):
    """Ignores the generator: the same noise for every batch."""

    def sample(self, n, image_shape, generator):
        return super().sample(n, image_shape, torch.Generator().manual_seed(3))


class ReseedsTheGenerator(Noisy):
    def sample(self, n, image_shape, generator):
        return super().sample(n, image_shape, generator.manual_seed(3))


class OneDensityABatch(Measurement):
    """Haze of a random density, the same for all pictures of a batch."""

    def sample(self, n, image_shape, generator):
        density = torch.rand(1, generator=generator, device=generator.device)
        return {"density": density.repeat(n)[:, None, None, None]}

    def measure(self, images, theta):
        density = theta["density"].to(images.dtype)
        return images * (1 - density) + density


class OneShiftABatch(Noisy):
    """Noise of each picture's own, and a brightness drawn once for the batch."""

    def sample(self, n, image_shape, generator):
        shift = 0.1 * torch.randn(1, generator=generator, device=generator.device)
        return super().sample(n, image_shape, generator) | {"shift": shift.repeat(n)}

    def measure(self, images, theta):
        return super().measure(images, theta) + theta["shift"].to(images.dtype)[:, None, None, None]


class IgnoresTheta(Noisy):
    def measure(self, images, theta):
        return images * 0.5


class RandomAfterAll(Noisy):
    random = False
    symmetric = frozenset()


class DrawsForNothing(Noisy):
    """One number from the global generator, which is not even used."""

    def sample(self, n, image_shape, generator):
        torch.rand(1)
        return super().sample(n, image_shape, generator)


class SeedsNumPy(Noisy):
    def measure(self, images, theta):
        np.random.seed(7)
        return super().measure(images, theta)


class ShufflesInObserved(Speckled):
    def observed(self, theta, image_shape):
        random.random()
        return super().observed(theta, image_shape)


class ForgetsTheGenerator(Noisy):
    """Noise from the global generator: the same state gives other noise, another state the same."""

    def sample(self, n, image_shape, generator):
        return {"noise": 0.1 * torch.randn(n, *image_shape)}


# Measuring --------------------------------------------------------------------------------------


class SaysOneChannel(Noisy):
    def measured_shape(self, image_shape):
        return (1, *image_shape[1:])


class ShapeIsAList(Noisy):
    def measured_shape(self, image_shape):
        return list(image_shape)


class MeasureRaises(Noisy):
    def measure(self, images, theta):
        return images + theta["nois"]


class Upcasts(Noisy):
    """Noise in float32: measurements of bfloat16 pictures become float32."""

    def measure(self, images, theta):
        return images + theta["noise"]


class LogOfBlack(Noisy):
    symmetric = frozenset()

    def measure(self, images, theta):
        return torch.log(images + 1).clamp(max=1) + theta["noise"].to(images.dtype)


class NoiseInMeasure(Noisy):
    def __init__(self):
        self.numbers = np.random.default_rng(0)

    def measure(self, images, theta):
        noise = torch.from_numpy(self.numbers.normal(0, 0.1, tuple(images.shape)))
        return images + noise.to(images)


class SeesNothing(Noisy):
    gradient = "none"
    gradient_reason = "y is noise alone"

    def measure(self, images, theta):
        return torch.zeros_like(images) + theta["noise"].to(images.dtype)


class WritesIntoImages(Noisy):
    def measure(self, images, theta):
        return images.mul_(0.5) + theta["noise"].to(images.dtype)


class WritesIntoTheta(Noisy):
    def measure(self, images, theta):
        return images + theta["noise"].clamp_(-0.05, 0.05).to(images.dtype)


class TakesFromTheta(Noisy):
    def measure(self, images, theta):
        return images + theta.pop("noise").to(images.dtype)


class KnowsThePicture(Noisy):
    """`known` hands on the mean of the clean pictures, remembered by `measure`."""

    means = torch.zeros(1)

    def measure(self, images, theta):
        self.means = images.detach().mean((1, 2, 3)).float()
        return super().measure(images, theta)

    def known(self, theta):
        n = len(theta["noise"])
        return {"mean": self.means[:1].repeat(n).to(theta["noise"].device)}


class RemembersTheBatch(Noisy):
    """Subtracts what it saw in the batch before."""

    last = 0.0

    def measure(self, images, theta):
        y = super().measure(images, theta) - 0.1 * self.last
        self.last = images.detach().mean().item()
        return y


class ObservesWhatItMeasured(Speckled):
    """A pair of pictures blinds the sensor for the next."""

    blind = False

    def measure(self, images, theta):
        self.blind = images.shape == (2, *SHAPE)
        return torch.where(theta["kept"], images, self.fill)

    def observed(self, theta, image_shape):
        return theta["kept"] & (not self.blind)


class Afterimage(Noisy):
    """What follows a pair of pictures comes out darker."""

    symmetric = frozenset()
    size = 0

    def measure(self, images, theta):
        dark, self.size = self.size == 2, len(images)
        return super().measure(images, theta) - 0.1 * dark


class BlurIsPixelwise(Noisy):
    """A blur with noise, whose `pixelwise` was copied."""

    def measure(self, images, theta):
        channels = images.shape[1]
        kernel = images.new_ones(channels, 1, 1, 3) / 3
        return conv2d(images, kernel, padding=(0, 1), groups=channels) + theta["noise"].to(images.dtype)


class CentredIsPixelwise(Noisy):
    def measure(self, images, theta):
        return super().measure(images, theta) - images.mean((1, 2, 3), keepdim=True)


class CropIsPixelwise(Noisy):
    symmetric = frozenset()

    def measured_shape(self, image_shape):
        return (*image_shape[:2], image_shape[2] - 1)

    def measure(self, images, theta):
        return super().measure(images, theta)[..., 1:]
