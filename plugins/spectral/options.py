"""Options of the spectral sensors, and what cannot work with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

from ..sizes import size_in

Pattern = Literal["lines", "points"]
Matrix = Literal["gaussian", "rademacher", "subsampled_dct"]

DENSE_LIMIT = 2**28
"""Entries of a dense matrix that are still made: 1 GiB in float32."""


class FourierOptions(Options):
    """Measures random lines or points of the picture's spectrum, as MRI does, the centre always.

    y is (2 C, H, W): real parts of the C channels, then imaginary ones, 0 where nothing was measured.
    """

    acceleration: float = Field(4.0, ge=1)
    """About 1 / acceleration of the spectrum is measured, the centre included; 1 measures all of it."""
    centre: float = Field(0.08, ge=0, lt=1)
    """Share of the spectrum about frequency 0 that is always measured; less than 1 / acceleration. Above 0
    it holds frequency 0 at least."""
    pattern: Literal["lines", "points"] = "lines"
    """`lines`: whole columns, as a Cartesian scan; `points`: each frequency by itself."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of Gaussian noise on each measured real and imaginary part, for pictures in [-1,
    1]."""

    def facts(self) -> frozenset[str]:
        """As high and wide as the picture, but a mirrored y is not a mirrored picture's spectrum."""
        return frozenset({"random"} if self.acceleration > 1 or self.noise else ())

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Beyond the centre there must be something left to draw."""
        picture = size_in(context)
        sides = picture or (1000, 1000)  # so many that rounding to whole lines does not matter
        if draw_rate(self.acceleration, self.centre, self.pattern, sides) <= 0:
            yield Complaint("centre", *centre_trouble(self.centre, self.acceleration))

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """Lines or points are drawn independently and reported, so the whole spectrum comes at times."""
        noise = ", and the characteristic function of the noise is nowhere 0" if self.noise else ""
        return "identified", f"the whole spectrum is measured with probability > 0, as is then told{noise}"


class CompressedSensingOptions(Options):
    """Measures the picture by one fixed random matrix: y = A x + noise, a vector."""

    ratio: float | None = Field(None, gt=0, le=1)
    """Measurements as a share of the picture's C H W values; null: 0.1, unless `measurements` is given."""
    measurements: int | None = Field(None, ge=1)
    """Measurements as a number, in place of `ratio`."""
    matrix: Matrix = "gaussian"
    """`gaussian`: independent N(0, 1/m) entries; `rademacher`: +-1/sqrt(m); `subsampled_dct`: random signs,
    an orthonormal DCT and m random ones of its coefficients times sqrt(d/m), which needs no matrix in
    memory and suits large pictures."""
    seed: int = Field(0, ge=0, lt=2**63)
    """The matrix is a function of it and of the picture's shape alone: the same in every run and process."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of Gaussian noise on each measurement, for pictures in [-1, 1]."""

    @property
    def amount(self) -> float | int:
        """Measurements: a share (float) or a number (int)."""
        if self.measurements is not None:
            return self.measurements
        return 0.1 if self.ratio is None else self.ratio

    def facts(self) -> frozenset[str]:
        """The matrix never changes, so only noise is random."""
        return frozenset({"random", "reshapes"} if self.noise else {"reshapes"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Not more measurements than values, and a matrix that fits into memory."""
        if self.ratio is not None and self.measurements is not None:
            message = "says how many measurements there are, and so does `measurements`"
            yield Complaint("ratio", message, "give one of them")
            return
        picture = size_in(context)
        if picture is None:
            return
        values = math.prod(context.image_shape or picture)  # one channel at least
        field = "ratio" if self.measurements is None else "measurements"
        trouble = count_trouble(self.amount, values, self.matrix)
        if trouble and (context.image_shape or not trouble[0].startswith("more")):
            yield Complaint(field, *trouble)

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """A fixed matrix with fewer rows than columns has a kernel; pictures have room for a little of it."""
        if context.image_shape is None:
            return None
        values = math.prod(context.image_shape)
        count = count_of(self.amount, values)
        if count < values:
            return (
                "not identified",
                f"one fixed matrix makes {count} values of {values}: pictures that differ by what it maps to "
                "0 have the same y",
            )
        if self.matrix == "subsampled_dct":
            return "identified", "all coefficients of an orthonormal transform are measured"
        return None


def centre_sides(centre: float, pattern: Pattern, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the block about frequency 0 that is always measured; (H, columns) of lines."""
    height, width = size
    if centre == 0:
        return 0, 0
    if pattern == "lines":
        return height, max(1, round(centre * width))
    return max(1, round(math.sqrt(centre) * height)), max(1, round(math.sqrt(centre) * width))


def draw_rate(acceleration: float, centre: float, pattern: Pattern, size: tuple[int, int]) -> float:
    """Probability p of measuring what lies beyond the centre: 1 / acceleration of all is expected.

    With a centre of c of all N lines or points, c + p (N - c) = N / acceleration; 0 or less where none is
    left to draw.
    """
    if acceleration == 1:
        return 1.0
    tall, wide = centre_sides(centre, pattern, size)
    share = tall * wide / math.prod(size)
    return (1 / acceleration - share) / (1 - share) if share < 1 else 0.0


def centre_trouble(centre: float, acceleration: float) -> tuple[str, str]:
    """What is wrong where `draw_rate` is not above 0, and what to do."""
    message = (
        f"a centre of {centre:g} is all that acceleration {acceleration:g} measures, "
        "so the rest of the spectrum would never be seen"
    )
    return message, f"use a centre well below {1 / acceleration:.3g}, or less acceleration"


def count_of(amount: float | int, values: int) -> int:
    """m, of a share (float) or a number (int) of the picture's `values`; at least 1."""
    return amount if isinstance(amount, int) else max(1, round(amount * values))


def count_trouble(amount: float | int, values: int, matrix: Matrix) -> tuple[str, str] | None:
    """What is wrong with that many measurements of a picture of `values`, and what to do."""
    count = count_of(amount, values)
    if count > values:
        return f"more measurements ({count}) than the picture has values ({values})", f"use at most {values}"
    if matrix != "subsampled_dct" and count * values > DENSE_LIMIT:
        gigabytes = count * values * 4 / 2**30
        message = f"a dense matrix of {count} x {values} needs {gigabytes:.1f} GiB"
        return message, "use matrix: subsampled_dct, fewer measurements or smaller pictures"
    return None
