"""Options of the optical sensors, and what cannot work with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

from ..sizes import size_in

Padding = Literal["zero", "reflect", "replicate"]
Length = Annotated[float, Field(ge=1, le=63)]
Degrees = Annotated[float, Field(ge=-180, le=180)]


class _BlurOptions(Options):
    """What a blur takes the world beyond the picture's edge to be."""

    padding: Padding = "zero"
    """What lies beyond the edge: `zero` the constant `border` (AmbientGAN's code: SAME convolution, which
    pulls edges towards it), `reflect` the picture mirrored about its outermost pixels, `replicate` the
    outermost pixels repeated."""
    border: float | None = Field(None, ge=-1, le=1)
    """The constant of `padding: zero`, in [-1, 1]; null: 0, which is grey, as in AmbientGAN on CelebA. A
    zero of data in [0, 1] (AmbientGAN's MNIST) is black, -1 here."""

    @property
    def outside(self) -> float:
        """The constant beyond the edge, which `padding: zero` uses."""
        return 0.0 if self.border is None else self.border

    def _of_the_border(self, context: Context, reach: int) -> Iterator[Complaint]:
        """A kernel that reaches `reach` pixels far must find them, and no option may be idle."""
        if self.padding != "zero" and self.border is not None:
            message = f"is used by padding: zero alone, not by {self.padding}"
            yield Complaint("border", message, "set border: null, or padding: zero")
        picture = size_in(context)
        if self.padding == "reflect" and picture is not None and reach >= min(picture):
            small = f"{picture[0]}x{picture[1]}"
            message = f"the kernel reaches {reach} pixels over the edge, further than {small} pixels mirror"
            yield Complaint("padding", message, "use padding: replicate, or a smaller kernel")


class ConvolveNoiseOptions(_BlurOptions):
    """Blurs by a Gaussian or a box, then adds Gaussian noise (AmbientGAN's convolve+noise).

    AmbientGAN: gaussian, size 5, radius 1.0, noise 0, 0.1 or 0.2 on CelebA ([-1, 1], as here) and 0, 0.1,
    0.2 or 0.5 on MNIST ([0, 1]: twice that here, with border -1). UAIR: box, size 5, noise 0.3.
    """

    kernel: Literal["gaussian", "box"] = "gaussian"
    """Shape of the kernel; its weights sum to 1."""
    size: int = Field(5, ge=1, le=63)
    """Side of the kernel in pixels, odd. A Gaussian is cut off there; 1 does not blur."""
    radius: float | None = Field(None, gt=0)
    """Standard deviation of the Gaussian in pixels; null: 1.0."""
    noise: float = Field(0.2, ge=0)
    """Standard deviation of the noise, for pictures in [-1, 1], added after the blur and never clipped."""

    @property
    def sigma(self) -> float:
        """Standard deviation of the Gaussian in pixels."""
        return 1.0 if self.radius is None else self.radius

    def facts(self) -> frozenset[str]:
        """The kernel is symmetric, so a mirrored measurement has the same law; random through noise alone."""
        return frozenset({"flip", "random"} if self.noise else {"flip"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The side must be odd, and a box has no radius."""
        if self.size % 2 == 0:
            message = f"a kernel of {self.size} pixels has no middle pixel"
            yield Complaint("size", message, f"use {self.size - 1} or {self.size + 1}")
        if self.kernel == "box" and self.radius is not None:
            yield Complaint("radius", "a box has no radius", "set radius: null, or kernel: gaussian")
        yield from self._of_the_border(context, self.size // 2)

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Where the kernel's transform is positive: blurring, about zeros or a mirror, is then injective.

        With zeros the blur along a line is a symmetric Toeplitz matrix, positive definite with its symbol;
        with a mirror the cosine transform makes it diagonal, with values of the symbol. The noise's
        characteristic function is nowhere 0, so the law of the blurred picture, and hence of the picture, is
        that of y with the noise divided out (cf. AmbientGAN, sec. 5).
        """
        if self.size > 1 and (self.padding == "replicate" or not self._positive_transform()):
            return None
        return (
            "identified",
            "the kernel's Fourier transform is positive, so the blur is injective, and the characteristic "
            "function of the noise is nowhere 0",
        )

    def _positive_transform(self) -> bool:
        """Whether k_0 + 2 sum_j k_j cos(j w) > 0 for all w: on a grid, by more than it changes in between."""
        half = range(1, self.size // 2 + 1)
        weights = [1.0 if self.kernel == "box" else math.exp(-0.5 * (j / self.sigma) ** 2) for j in half]
        points = 4096
        lowest = min(
            1 + 2 * sum(k * math.cos(j * math.pi * i / points) for j, k in zip(half, weights, strict=True))
            for i in range(points + 1)
        )
        steepest = 2 * sum(j * k for j, k in zip(half, weights, strict=True))
        return lowest > steepest * math.pi / points / 2


class MotionBlurOptions(_BlurOptions):
    """Blurs along a straight line whose length and direction differ between pictures, and are not told."""

    padding: Padding = "replicate"
    """What lies beyond the edge: `zero` the constant `border`, `reflect` the picture mirrored about its
    outermost pixels, `replicate` the outermost pixels repeated."""
    length: tuple[Length, Length] = (5.0, 15.0)
    """Shortest and longest path in pixels, drawn uniformly between; 1 along an axis does not blur."""
    angle: tuple[Degrees, Degrees] = (0.0, 180.0)
    """Range of directions in degrees, drawn uniformly: 0 is along a row, 90 along a column, 45 from lower
    left to upper right. Opposite directions blur alike, so 0 to 180 is every direction."""

    def facts(self) -> frozenset[str]:
        """Random unless both ranges are points; mirroring must map the directions onto themselves."""
        still = self.length[0] == self.length[1] and self.angle[0] == self.angle[1]
        promised = {"flip": mirrors_onto_itself(self.angle), "random": not still}
        return frozenset(fact for fact, holds in promised.items() if holds)

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Ranges must ascend."""
        for field, (low, high) in (("length", self.length), ("angle", self.angle)):
            if low > high:
                yield Complaint(field, f"the range [{low:g}, {high:g}] descends", f"use [{high:g}, {low:g}]")
        yield from self._of_the_border(context, motion_reach(max(self.length)))


class DownsampleOptions(Options):
    """Lowers the resolution by a whole factor, with antialiasing."""

    factor: int = Field(2, ge=2)
    """How many pixels of a row, and of a column, become one. Height and width must be multiples of it."""
    antialias: Literal["box", "bicubic"] = "box"
    """`box`: mean of each factor x factor square, as a sensor with larger pixels. `bicubic`: the cubic
    kernel (a = -0.5) widened by the factor, as picture programs shrink; at edges of the picture's content
    it may leave [-1, 1] a little."""

    def facts(self) -> frozenset[str]:
        """Always the same, and of another size; both kernels are symmetric."""
        return frozenset({"flip", "reshapes"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Both sides must be multiples of the factor."""
        picture = size_in(context)
        if picture is not None and any(side % self.factor for side in picture):
            message = (
                f"a picture of {picture[0]}x{picture[1]} has a side that is no multiple of {self.factor}"
            )
            yield Complaint("factor", message, "use another factor, or data.image_size that is a multiple")

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """A linear map to fewer values has a kernel, and pictures have room for a little of it."""
        return (
            "not identified",
            f"y is linear in x and has 1 of {self.factor**2} values: pictures that differ by what is "
            "averaged away have the same y",
        )


def motion_reach(length: float) -> int:
    """Whole pixels that the kernel of a path of `length` pixels reaches from its middle, in any direction."""
    return math.ceil(math.hypot((length + 1) / 2, 1)) - 1


def mirrors_onto_itself(angle: tuple[float, float]) -> bool:
    """Whether directions uniform in `angle` (degrees) stay so when a is replaced by -a, modulo 180.

    They do if the range spans a multiple of 180 or has its middle at a multiple of 90.
    """
    low, high = angle
    every_direction = high > low and (high - low) % 180 == 0
    return every_direction or (low + high) % 180 == 0
