"""Options of deepinv's operators that change the resolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from ambientkit import Complaint

from .common_options import NoisyOptions, within

Filter = Literal["gaussian", "bilinear", "bicubic", "sinc"]


class _FactorOptions(NoisyOptions):
    """What all operators that change the resolution share."""

    always: ClassVar[frozenset[str]] = frozenset({"reshapes"})

    factor: int = Field(2, ge=2, le=16)
    """How many rows, and columns, become one (or one becomes)."""


class DownsamplingOptions(_FactorOptions):
    """Filters and keeps every factor-th pixel (deepinv's Downsampling, periodic at the edges)."""

    filter: Filter | None = "bicubic"
    """Kernel that is applied before, of `factor`'s width; null: none, and pixels alias."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """The kernel must fit into the picture."""
        yield from within("factor", kernel_side(self.filter, self.factor), height, width)


class DownsamplingRandomOptions(_FactorOptions):
    """Downsampling with a kernel drawn for each picture (deepinv's DownsamplingGenerator).

    Its kernel is one of Gaussian, bilinear and bicubic, with equal chances.
    """

    always: ClassVar[frozenset[str]] = frozenset({"reshapes", "random"})

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """All three kernels are padded to the size of the widest."""
        yield from within("factor", kernel_side("gaussian", self.factor), height, width)


class DownsamplingMatlabOptions(_FactorOptions):
    """Shrinks as MATLAB's imresize does (deepinv's DownsamplingMatlab), by a cubic kernel."""

    antialias: bool = True
    """Whether the kernel is widened by the factor."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """The mirrored border must be in the picture, and the sides be multiples of the factor."""
        yield from within("factor", 4 * self.factor, height, width)
        if height % self.factor or width % self.factor:
            message = f"{height}x{width} is no multiple of {self.factor}"
            yield Complaint("factor", message, "use a divisor of both sides")


class UpsamplingOptions(_FactorOptions):
    """Puts zeros between pixels and filters (deepinv's Upsampling: the adjoint of Downsampling)."""

    filter: Filter = "bilinear"
    """Kernel, of `factor`'s width, whose sum is 1: y is darker by factor^2."""

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """The kernel must fit into what it makes."""
        factor = self.factor
        yield from within("factor", kernel_side(self.filter, factor), factor * height, factor * width)


def kernel_side(filter_name: Filter | None, factor: int) -> int:
    """Side of deepinv's kernel for a factor, in pixels."""
    sides = {"gaussian": 2 * int(factor / 0.3 + 1) + 1, "bilinear": 2 * factor, None: 1}
    return sides.get(filter_name, 4 * factor)
