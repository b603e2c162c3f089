"""Options of deepinv's operators that mix channels, bend values or add haze."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ambientkit import Complaint

from .common_options import DeepinvOptions, NoisyOptions, rising, within

Depth = Annotated[float, Field(ge=0, le=100)]
Light = Annotated[float, Field(ge=0, le=1)]


class DecolorizeOptions(NoisyOptions):
    """Turns colour into grey (deepinv's Decolorize)."""

    always: ClassVar[frozenset[str]] = frozenset({"flip"})
    channels: ClassVar[frozenset[int]] = frozenset({3})

    weights: Literal["rec601", "average"] = "rec601"
    """How channels are summed: 0.299, 0.587, 0.114, or a third each."""


class PansharpenOptions(NoisyOptions):
    """A small colour picture and a large grey one (deepinv's Pansharpen).

    deepinv gives two tensors; here the grey picture's factor x factor squares are further channels of
    the small picture (`pixel_unshuffle`): y is (C + factor^2, H / factor, W / factor).
    """

    always: ClassVar[frozenset[str]] = frozenset({"reshapes"})

    factor: int = Field(4, ge=2, le=8)
    """How many rows, and columns, of the grey picture one of the colour picture has."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """The sides must be multiples of the factor."""
        yield from within("factor", 2 * self.factor, height, width)
        if height % self.factor or width % self.factor:
            message = f"{height}x{width} is no multiple of {self.factor}"
            yield Complaint("factor", message, "use a divisor of both sides")


class HyperspectralUnmixingOptions(NoisyOptions):
    """Spectra of materials, mixed by the picture's channels (deepinv's HyperSpectralUnmixing)."""

    always: ClassVar[frozenset[str]] = frozenset({"flip"})

    bands: int = Field(8, ge=2, le=256)
    """Channels of y."""
    seed: int = Field(0, ge=0)
    """Draws the materials' spectra, once and for all, as deepinv does: uniform, then normalised."""


class SpectralImagingOptions(NoisyOptions):
    """Codes and shears the channels into one (deepinv's CompressiveSpectralImaging).

    A new mask is drawn for each picture. deepinv shears by a convolution with a kernel as large as the
    picture: slow above 32x32.
    """

    always: ClassVar[frozenset[str]] = frozenset({"random"})

    mode: Literal["ss", "sd"] = "ss"
    """`ss`: the mask codes space and spectrum; `sd`: space alone, and y has C - 1 rows more."""
    keep: float = Field(0.5, gt=0, lt=1)
    """Chance that the mask lets a pixel through."""

    def facts(self) -> frozenset[str]:
        """Single dispersion makes y larger."""
        return super().facts() | ({"reshapes"} if self.mode == "sd" else frozenset())

    def of_channels(self, count: int) -> Iterator[Complaint]:
        """One channel cannot be sheared: deepinv would crop everything."""
        if count < 2:
            yield Complaint("", "takes pictures of 2 channels or more, not of 1", "use colour pictures")


class HazeOptions(NoisyOptions):
    """Haze over a scene whose depth grows upwards (deepinv's Haze, Koschmieder's law).

    deepinv restores picture, depth and light together and has no law for them. Here depth is linear in the
    rows, from `near` at the bottom to `far` at the top, and the light is grey; both are drawn for each
    picture and not known.
    """

    always: ClassVar[frozenset[str]] = frozenset({"random", "pixelwise", "flip"})

    beta: float = Field(1.0, gt=0, le=10)
    """Attenuation a unit of depth: the picture is seen through exp(-beta * depth)."""
    near: tuple[Depth, Depth] = (0.0, 0.5)
    """Range of the depth of the bottom row, drawn uniformly."""
    far: tuple[Depth, Depth] = (0.5, 2.0)
    """Range of the depth of the top row, drawn uniformly."""
    light: tuple[Light, Light] = (0.7, 1.0)
    """Range of the light in the haze, drawn uniformly; 1 is white."""

    def contradictions(self) -> Iterator[Complaint]:
        """Ranges must rise."""
        yield from rising("near", self.near)
        yield from rising("far", self.far)
        yield from rising("light", self.light)


class SpatialUnwrappingOptions(DeepinvOptions):
    """Values modulo a threshold (deepinv's SpatialUnwrapping), with noise before it."""

    always: ClassVar[frozenset[str]] = frozenset({"pixelwise", "flip"})

    threshold: float = Field(0.5, gt=0, le=1)
    """Length of the modulus, in deepinv's units (pictures in [0, 1])."""
    mode: Literal["round", "floor"] = "round"
    """`round`: y in [-threshold / 2, threshold / 2]; `floor`: y in [0, threshold)."""
    noise: float = Field(0.0, ge=0, le=10)
    """Standard deviation of Gaussian noise on the picture before it is wrapped, on [0, 1]; 0: none."""

    def facts(self) -> frozenset[str]:
        """Random through noise alone."""
        return self.always | ({"random"} if self.noise else frozenset())
