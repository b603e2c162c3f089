"""Options of deepinv's operators whose measurements are no pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from ambientkit import Complaint

from .common_options import NoisyOptions, square, within

ONE = frozenset({1})


class _FixedOptions(NoisyOptions):
    """An operator that is drawn once and for all, or not at all."""

    always: ClassVar[frozenset[str]] = frozenset({"reshapes"})


class TomographyOptions(_FixedOptions):
    """Parallel projections at angles that are the same for all pictures (deepinv's Tomography).

    y is (C, detectors, angles).
    """

    angles: int = Field(30, ge=1, le=720)
    """Number of angles, evenly over 180 degrees."""
    normalize: bool = True
    """Whether y is divided by the operator's norm, so that it is about as large as the picture."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """deepinv projects square pictures."""
        yield from square(height, width)


class TomographyFanOptions(TomographyOptions):
    """Fan-beam projections (deepinv's Tomography with fan_beam), with the distances of deepinv."""

    detectors: int = Field(64, ge=2, le=2048)
    """Number of detector pixels, over an arc that is 19.9 wide, as deepinv's 258 pixels of 0.077 are."""


class CompressedSensingOptions(_FixedOptions):
    """Products with one Gaussian random matrix for all pictures (deepinv's CompressedSensing)."""

    rows: int = Field(100, ge=1, le=4096)
    """Rows of the matrix: measurements a channel."""
    seed: int = Field(0, ge=0)
    """Draws the matrix."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """More measurements than pixels compress nothing, and a large matrix fills the memory."""
        if self.rows > height * width:
            message = f"{self.rows} measurements of {height}x{width} pixels compress nothing"
            yield Complaint("rows", message, f"use at most {height * width}")
        if height * width > 128 * 128:
            message = f"the matrix and its pseudo-inverse have {self.rows}x{height * width} numbers each"
            yield Complaint("", message, "use pictures of at most 128x128, or deepinv/structured_random")


class StructuredRandomOptions(_FixedOptions):
    """Random signs, sine transforms and a crop, the same for all pictures (deepinv's StructuredRandom)."""

    size: int = Field(8, ge=1, le=4096)
    """Side of the square of coefficients that is kept; y is (C, size, size)."""
    layers: int = Field(1, ge=1, le=8)
    """How often signs and transform are applied."""
    seed: int = Field(0, ge=0)
    """Draws the signs."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """What is kept must be less than what is there."""
        if self.size >= min(height, width):
            message = f"{self.size}x{self.size} coefficients are not fewer than {height}x{width} pixels"
            yield Complaint("size", message, f"use at most {min(height, width) - 1}")


class SinglePixelCameraOptions(NoisyOptions):
    """Some Hadamard coefficients, one a shot of the camera (deepinv's SinglePixelCamera)."""

    shots: int = Field(64, ge=1, le=1048576)
    """Number of coefficients a channel; the others are 0."""
    ordering: Literal["sequency", "cake_cutting", "zig_zag", "xy"] = "sequency"
    """Which coefficients come first."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """Hadamard matrices have sides that are powers of two."""
        for side in (height, width):
            if side & (side - 1):
                remedy = "use sides of 16, 32, 64, 128 or 256"
                yield Complaint("", f"takes sides that are powers of two, not {height}x{width}", remedy)
                return
        if self.ordering == "cake_cutting":
            yield from square(height, width)
        if self.shots > height * width:
            message = f"there are {height * width} coefficients, not {self.shots}"
            yield Complaint("shots", message, f"use at most {height * width}")


class MriOptions(NoisyOptions):
    """Some columns of the spectrum, drawn for each picture and known (deepinv's MRI and its mask generators).

    A picture of one channel is the real part, one of two is real and imaginary. y is (2, H, W); `known`
    has the columns.
    """

    always: ClassVar[frozenset[str]] = frozenset({"random"})
    channels: ClassVar[frozenset[int]] = frozenset({1, 2})

    pattern: Literal["random", "gaussian", "equispaced", "polynomial"] = "random"
    """Law of the columns: deepinv's RandomMaskGenerator and its three sisters."""
    acceleration: int = Field(4, ge=2, le=32)
    """One of how many columns is measured."""
    center: float = Field(0.08, ge=0, lt=0.5)
    """Share of the columns in the middle that are always measured (deepinv's center_fraction)."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """deepinv needs a column outside the middle."""
        if width // self.acceleration <= int(self.center * width):
            message = (
                f"of {width} columns, none is left for the acceleration {self.acceleration} beside the middle"
            )
            yield Complaint("acceleration", message, "lower it, or lower `center`")


class PhaseRetrievalOptions(_FixedOptions):
    """Squared magnitudes of products with a complex Gaussian matrix (deepinv's RandomPhaseRetrieval)."""

    rows: int = Field(100, ge=1, le=4096)
    """Rows of the matrix: measurements a channel. The matrix is the same for all pictures."""
    seed: int = Field(0, ge=0)
    """Draws the matrix."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """A large matrix fills the memory."""
        if height * width > 64 * 64:
            message = f"the complex matrix would have {self.rows}x{height * width} numbers"
            yield Complaint(
                "", message, "use pictures of at most 64x64, or deepinv/phase_retrieval_structured"
            )


class PhaseRetrievalStructuredOptions(NoisyOptions):
    """Squared magnitudes after random phases and Fourier transforms (deepinv's PhaseRetrieval).

    deepinv's StructuredRandomPhaseRetrieval is this operator, with phases from the global generator.
    """

    layers: int = Field(1, ge=1, le=8)
    """How often phases and transform are applied; the phases are the same for all pictures."""
    seed: int = Field(0, ge=0)
    """Draws the phases."""


class PtychographyOptions(_FixedOptions):
    """Diffraction patterns of a lit disk (deepinv's Ptychography); y is (places^2, H, W)."""

    channels: ClassVar[frozenset[int]] = ONE

    places: int = Field(5, ge=2, le=15)
    """Places a side of the grid, over the whole picture."""
    radius: int = Field(6, ge=2, le=64)
    """Radius of the lit disk in pixels."""

    def facts(self) -> frozenset[str]:
        """Each pattern is as large as the picture."""
        return super().facts() - {"reshapes"}

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """deepinv's shifts are for square pictures, and the disk must fit."""
        yield from square(height, width)
        yield from within("radius", 2 * self.radius + 1, height, width, "a disk")


class ScatteringOptions(_FixedOptions):
    """Waves that an object scatters, at sensors on a circle about it (deepinv's Scattering); needs scipy.

    The picture is the contrast to the background, in a box of side 1; y is (2, sensors, sensors - 1), real
    and imaginary: each sensor sends, and all others receive. deepinv solves for the field step by step, in
    double precision, whatever the picture's.
    """

    channels: ClassVar[frozenset[int]] = ONE

    sensors: int = Field(16, ge=2, le=128)
    """Sensors on a circle of radius 1."""
    wavenumber: float = Field(5.0, gt=0, le=100)
    """Wavenumber of the background: 2 pi over the wavelength, where the box's side is 1."""
    contrast: float = Field(0.5, gt=0, le=2)
    """Contrast of white; black has none."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """deepinv takes square pictures, with two pixels a wave at least."""
        yield from square(height, width)
        if self.wavenumber / math.pi > width:
            message = f"waves of wavenumber {self.wavenumber:g} are finer than two of {width} pixels"
            yield Complaint("wavenumber", message, f"use at most {math.floor(math.pi * width)}")
