"""Options of deepinv's noise models, each a sensor of its own (deepinv's Denoising)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from ambientkit import Complaint

from .common_options import DeepinvOptions, rising

Level = Annotated[float, Field(gt=0, le=10)]
Gain = Annotated[float, Field(ge=0.001, le=10)]


class _LawOptions(DeepinvOptions):
    """What all noise shares: drawn anew for every pixel. Levels are deepinv's, for pictures in [0, 1]."""

    always: ClassVar[frozenset[str]] = frozenset({"random", "pixelwise", "flip"})


class GaussianNoiseOptions(_LawOptions):
    """Gaussian noise (deepinv's GaussianNoise, SigmaGenerator)."""

    sigma: Level | tuple[Level, Level] = 0.1
    """Standard deviation on [0, 1], or [low, high]: uniform, one a picture."""

    def contradictions(self) -> Iterator[Complaint]:
        """A range must rise."""
        yield from rising("sigma", span(self.sigma))


class UniformGaussianNoiseOptions(_LawOptions):
    """Gaussian noise of a level that is drawn for each picture (deepinv's UniformGaussianNoise)."""

    sigma: tuple[Annotated[float, Field(ge=0, le=10)], Level] = (0.0, 0.5)
    """Range of the standard deviation on [0, 1], drawn uniformly."""

    def contradictions(self) -> Iterator[Complaint]:
        """The range must rise."""
        yield from rising("sigma", self.sigma)


class UniformNoiseOptions(_LawOptions):
    """Uniform noise (deepinv's UniformNoise)."""

    amplitude: Level = 0.1
    """Largest noise on [0, 1]; it is uniform in [-amplitude, amplitude]."""


class LaplaceNoiseOptions(_LawOptions):
    """Laplace noise (deepinv's LaplaceNoise)."""

    scale: Level = 0.1
    """Scale b on [0, 1]; the standard deviation is sqrt(2) b."""


class RicianNoiseOptions(_LawOptions):
    """Magnitude of a complex value with Gaussian noise, as in MRI (deepinv's RicianNoise)."""

    sigma: Level = 0.1
    """Standard deviation of each part, on [0, 1]."""


class SaltPepperNoiseOptions(_LawOptions):
    """Pixels turned white or black, in each channel for itself (deepinv's SaltPepperNoise)."""

    pepper: float = Field(0.025, ge=0, lt=1)
    """Chance of black."""
    salt: float = Field(0.025, ge=0, lt=1)
    """Chance of white."""

    def contradictions(self) -> Iterator[Complaint]:
        """Chances must add up to less than 1, and to more than 0 (deepinv divides by their sum)."""
        if not 0 < self.pepper + self.salt < 1:
            message = f"{self.pepper:g} and {self.salt:g} must have a sum between 0 and 1"
            yield Complaint("salt", message, "change one of them")


class PoissonNoiseOptions(_LawOptions):
    """Poisson counts times a gain (deepinv's PoissonNoise, normalised, GainGenerator)."""

    gain: Gain | tuple[Gain, Gain] = 0.1
    """One count on [0, 1]: white is 1 / gain counts; or [low, high]: uniform, one a picture. Pictures are
    clipped to [0, 1] beforehand."""

    def contradictions(self) -> Iterator[Complaint]:
        """A range must rise."""
        yield from rising("gain", span(self.gain))


class PoissonGaussianNoiseOptions(_LawOptions):
    """Poisson counts times a gain, and Gaussian noise (deepinv's PoissonGaussianNoise)."""

    gain: Gain = 0.1
    """One count on [0, 1]: white is 1 / gain counts. Pictures are clipped to [0, 1] beforehand."""
    sigma: Level = 0.1
    """Standard deviation of the Gaussian part, on [0, 1]."""


class LogPoissonNoiseOptions(_LawOptions):
    """Logarithm of Poisson counts, as in computed tomography (deepinv's LogPoissonNoise)."""

    counts: float = Field(1024.0, ge=16, le=10000)
    """Mean counts of a black pixel (deepinv's N0)."""
    attenuation: float = Field(1.0, ge=0.02, le=2)
    """Attenuation mu of a white pixel, whose mean counts are counts * exp(-mu). deepinv's 0.02 is for values
    that are lengths: on [0, 1] nothing but noise would be left."""


class GammaNoiseOptions(_LawOptions):
    """Speckle: each value times a Gamma variable of mean 1 (deepinv's GammaNoise)."""

    looks: int = Field(4, ge=1, le=64)
    """Number of looks l: the standard deviation is value / sqrt(l). Black stays black; deepinv refuses it."""


class FisherTippettNoiseOptions(_LawOptions):
    """Speckle of log pictures: the logarithm of a Gamma variable is added (deepinv's FisherTippettNoise)."""

    looks: int = Field(16, ge=1, le=64)
    """Number of looks l, as in gamma_noise."""


def span(level: float | tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest of a level or a range."""
    return level if isinstance(level, tuple) else (level, level)
