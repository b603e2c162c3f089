"""Options of deepinv's masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from ambientkit import Complaint, Context
from ambientkit.registry import Verdict

from .common_options import NoisyOptions, within

SEEN = frozenset({"exact", "observed", "pixelwise"})


class InpaintingOptions(NoisyOptions):
    """Keeps each pixel with a chance (deepinv's Inpainting, BernoulliSplittingMaskGenerator)."""

    always: ClassVar[frozenset[str]] = SEEN | {"random", "flip"}

    keep: float = Field(0.5, gt=0, lt=1)
    """Chance that a pixel is kept; the others are black."""
    per_channel: bool = False
    """Whether each channel of a pixel is drawn for itself (deepinv's pixelwise=False)."""

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Everything is kept with probability above 0 (AmbientGAN, sec. 5, of block-pixels)."""
        if self.noise:
            return None
        return (
            "identified",
            "the whole picture is seen with probability > 0, for pixels are kept independently",
        )


class InpaintingGaussianOptions(NoisyOptions):
    """Keeps a share of pixels, fewer where a Gaussian says so (deepinv's GaussianSplittingMaskGenerator).

    deepinv removes with a chance that is largest at the picture's centre, beside a middle block that it
    keeps; it was made for spectra. A share that is too small to remove the rest is refused.
    """

    always: ClassVar[frozenset[str]] = SEEN | {"random"}

    keep: float = Field(0.6, ge=0.05, lt=1)
    """Share of pixels that are kept; the others are black."""
    spread: float = Field(4.0, ge=1, le=20)
    """Side of the picture in standard deviations of the Gaussian (deepinv's std_scale)."""
    center: int = Field(4, ge=0, le=64)
    """Side in pixels, even, of the middle block that is always kept (deepinv's center_block)."""

    def contradictions(self) -> Iterator[Complaint]:
        """deepinv halves the side, so an odd one would become the even one below it."""
        if self.center % 2:
            yield Complaint("center", "the side must be even", f"use {self.center - 1} or {self.center + 1}")

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """The block must fit, and enough pixels outside it must be there to be removed."""
        yield from within("center", self.center, height, width, "a middle block")
        if height * width - self.center**2 < (1 - self.keep) * height * width:
            message = f"with the middle block kept, {1 - self.keep:.0%} of {height}x{width} cannot be removed"
            yield Complaint("keep", message, "raise it, or make `center` smaller")


class DemosaicingOptions(NoisyOptions):
    """One colour a pixel, in the Bayer pattern (deepinv's Demosaicing); the other two are black."""

    always: ClassVar[frozenset[str]] = SEEN
    channels: ClassVar[frozenset[int]] = frozenset({3})

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """The pattern never changes."""
        return "not identified", "at each pixel the same two of three colours are hidden in every picture"
