"""Options of deepinv's blurs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ambientkit import Complaint

from .common_options import NoisyOptions, rising, within

Padding = Literal["circular", "reflect", "replicate", "zeros", "valid"]
Sigma = Annotated[float, Field(ge=0.1, le=50)]


class _KernelOptions(NoisyOptions):
    """What all blurs with a drawn kernel share; the kernel is not known to the instrument."""

    always: ClassVar[frozenset[str]] = frozenset({"random"})

    size: int = Field(11, ge=3, le=127)
    """Side of the kernel in pixels, odd."""

    def contradictions(self) -> Iterator[Complaint]:
        """A kernel needs a middle."""
        if self.size % 2 == 0:
            message = f"a kernel of {self.size} pixels has no middle pixel"
            yield Complaint("size", message, f"use {self.size - 1} or {self.size + 1}")

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """The kernel must fit into the picture."""
        yield from within("size", self.size, height, width)


class _PaddedOptions(_KernelOptions):
    """A kernel, and what it finds beyond the picture's edge."""

    padding: Padding = "reflect"
    """What lies beyond the edge: the other side, the mirrored picture, its outermost pixels, black, or
    (`valid`) nothing: y loses size - 1 rows and columns."""

    def facts(self) -> frozenset[str]:
        """A valid convolution makes a smaller picture."""
        return super().facts() | ({"reshapes"} if self.padding == "valid" else frozenset())


class BlurGaussianOptions(_PaddedOptions):
    """Blurs with a Gaussian kernel drawn for each picture (deepinv's Blur, GaussianBlurGenerator)."""

    sigma: tuple[Sigma, Sigma] = (0.5, 3.0)
    """Range of the kernel's standard deviations in pixels, drawn uniformly."""
    isotropic: bool = False
    """Whether the kernel is round; else it has two standard deviations and any angle."""

    def contradictions(self) -> Iterator[Complaint]:
        """The range must rise."""
        yield from super().contradictions()
        yield from rising("sigma", self.sigma)


class BlurFftOptions(_KernelOptions):
    """Blurs periodically, in the spectrum, with a drawn Gaussian (deepinv's BlurFFT)."""

    sigma: tuple[Sigma, Sigma] = (0.5, 3.0)
    """Range of the kernel's standard deviations in pixels, drawn uniformly; two a picture, and any angle."""

    def contradictions(self) -> Iterator[Complaint]:
        """The range must rise."""
        yield from super().contradictions()
        yield from rising("sigma", self.sigma)


class BlurMotionOptions(_PaddedOptions):
    """Blurs along a random path drawn for each picture (deepinv's Blur, MotionBlurGenerator)."""

    length: float = Field(0.3, ge=0.05, le=5)
    """Correlation time of the path (deepinv's l): the larger, the straighter."""
    amplitude: float = Field(0.25, ge=0.05, le=1)
    """Standard deviation of the path (deepinv's sigma), where the kernel reaches from -1 to 1."""


class BlurDiffractionOptions(_PaddedOptions):
    """Blurs as an aberrated lens does, drawn for each picture (deepinv's Blur, DiffractionBlurGenerator)."""

    cutoff: float = Field(0.2, ge=0.02, le=0.25)
    """Cut-off frequency of the pupil in cycles a pixel (deepinv's fc: NA / wavelength * pixel size)."""
    aberration: float = Field(0.15, ge=0.001, le=1)
    """Largest amplitude in wavelengths of the Zernike polynomials 4 to 11 (max_zernike_amplitude)."""
    pupil: int = Field(64, ge=16, le=512)
    """Samples a side of the pupil (deepinv's pupil_size, there 256): the more, the finer and the slower."""


class SpaceVaryingBlurOptions(_PaddedOptions):
    """Blurs differently from place to place, as a sum of products (deepinv's SpaceVaryingBlur).

    Theta holds `terms` maps as large as the picture for each picture, as deepinv's
    ProductConvolutionBlurGenerator makes them.
    """

    sigma: tuple[Sigma, Sigma] = (0.5, 2.0)
    """Range of the standard deviations in pixels of the Gaussian kernels drawn on a grid of places."""
    terms: int = Field(4, ge=1, le=16)
    """Number of products kept of the kernels' decomposition (deepinv's n_eigen_psf)."""

    def contradictions(self) -> Iterator[Complaint]:
        """The range must rise."""
        yield from super().contradictions()
        yield from rising("sigma", self.sigma)

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """deepinv draws kernels on a grid of eight by eight places."""
        yield from super().of_size(height, width)
        if min(height, width) < 16:
            yield Complaint("", f"takes pictures of at least 16x16, not {height}x{width}", "use larger ones")


class TiledBlurOptions(_KernelOptions):
    """Blurs each tile with a Gaussian of its own, blended (deepinv's TiledSpaceVaryingBlur)."""

    sigma: tuple[Sigma, Sigma] = (0.5, 2.0)
    """Range of the standard deviations in pixels of the kernels, one a tile."""
    tile: int = Field(16, ge=4, le=256)
    """Side of a tile in pixels, even; tiles overlap by half."""
    size: int = Field(5, ge=3, le=127)
    """Side of the kernel in pixels, odd."""

    def facts(self) -> frozenset[str]:
        """The convolution is a valid one: y loses size - 1 rows and columns."""
        return super().facts() | {"reshapes"}

    def contradictions(self) -> Iterator[Complaint]:
        """The range must rise, and half a tile be whole pixels."""
        yield from super().contradictions()
        yield from rising("sigma", self.sigma)
        if self.tile % 2:
            yield Complaint("tile", "the side must be even", f"use {self.tile - 1} or {self.tile + 1}")

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """A tile must fit into the picture."""
        yield from super().of_size(height, width)
        yield from within("tile", self.tile, height, width, "a tile")
