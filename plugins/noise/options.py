"""Options of the noisy sensors, and what cannot work with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

Sigma = Annotated[float, Field(gt=0, le=10)]


class _NoiseOptions(Options):
    """What all noise shares: drawn anew for every pixel, so that mirroring keeps its law."""

    def facts(self) -> frozenset[str]:
        """Noise differs between pictures and acts on each pixel alone; no pixel is exact."""
        return frozenset({"random", "pixelwise", "flip"})


class GaussianNoiseOptions(_NoiseOptions):
    """Adds Gaussian noise of a fixed level, or of one drawn for each picture."""

    sigma: Sigma | tuple[Sigma, Sigma] = 0.2
    """Standard deviation on [-1, 1] (twice that on [0, 1]), or [low, high]: uniform, one a picture."""
    report_sigma: bool = False
    """Whether the instrument reports the sigma that was drawn, as `known["sigma"]`."""

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest sigma."""
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma, self.sigma)

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """A range must rise, and only what is drawn can be reported."""
        low, high = self.range
        if low > high:
            yield Complaint("sigma", f"the range begins at {low:g}, above its end {high:g}", "swap the two")
        elif low == high and self.report_sigma:
            message = "there is nothing to report, since sigma is the same for every picture"
            yield Complaint("report_sigma", message, "give `sigma: [low, high]`, or remove it")

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """By deconvolution; sigma may be drawn, since the noise's characteristic function stays positive."""
        return (
            "identified",
            "the noise's characteristic function is nowhere 0: that of y, divided by it, is that of x",
        )


class PoissonNoiseOptions(_NoiseOptions):
    """Counts photons: Poisson noise, stronger where the picture is darker relative to its signal."""

    peak: float = Field(30.0, gt=0, le=1e6)
    """Mean photons of a white pixel; the fewer, the noisier."""
    dark: float = Field(0.0, ge=0, le=1e6)
    """Mean counts of a black pixel (dark current, background); their mean is subtracted again."""

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """By the moments: E of the product of falling factorials of counts is E of the product of rates^k."""
        return (
            "identified",
            "the factorial moments of the counts are the moments of the rates, and these determine the law "
            "of bounded pictures",
        )


class SaltPepperOptions(_NoiseOptions):
    """Turns random pixels white or black; the instrument does not know which."""

    p: float = Field(0.1, gt=0, lt=1)
    """Chance that a pixel is hit."""
    salt: float = Field(0.5, ge=0, le=1)
    """Share of hit pixels that turn white (1); the others turn black (-1)."""
    per: Literal["pixel", "channel"] = "pixel"
    """`pixel`: all channels are hit at once, to the same value; `channel`: each on its own."""

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """Of each pixel in turn: the law of y is (1 - p) that of x + p a known law."""
        return (
            "identified",
            "pixel by pixel the law of y is that of x mixed with a known one at a known rate, which is "
            "undone by subtracting it",
        )


class SpeckleOptions(_NoiseOptions):
    """Multiplies the intensity by speckle, as in radar and ultrasound."""

    looks: int = Field(4, ge=1, le=64)
    """Independent looks averaged (L): the speckle's variance is 1 / L; 1 is fully developed speckle."""

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """Multiplicative noise is additive in the logarithm; the Gamma function has no zeros."""
        return (
            "identified",
            "in the logarithm of the intensity the speckle is added, and its characteristic function "
            "Gamma(L + it) / (Gamma(L) L^it) is nowhere 0; intensities of 0 stay 0",
        )
