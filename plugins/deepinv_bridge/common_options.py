"""What the options of all deepinv sensors share: their facts, and the pictures they take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from ambientkit import Complaint, Context, Options

from ..sizes import size_in


class DeepinvOptions(Options):
    """Base of the options of deepinv's operators."""

    always: ClassVar[frozenset[str]] = frozenset()
    """Facts that hold whatever the options."""
    channels: ClassVar[frozenset[int]] = frozenset()
    """Numbers of channels that the operator takes; empty: any."""

    def facts(self) -> frozenset[str]:
        """What the sensor declares of itself."""
        return self.always

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Options that contradict each other, and pictures that the operator does not take."""
        yield from self.contradictions()
        if context.image_shape is not None:
            yield from self.of_channels(context.image_shape[0])
        size = size_in(context)
        if size is not None:
            yield from self.of_size(*size)

    def contradictions(self) -> Iterator[Complaint]:
        """Options that cannot go together, whatever the pictures."""
        yield from ()

    def of_channels(self, count: int) -> Iterator[Complaint]:
        """A picture has `count` channels."""
        if self.channels and count not in self.channels:
            takes = " or ".join(map(str, sorted(self.channels)))
            message = f"takes pictures of {takes} channel(s), not of {count}"
            yield Complaint("", message, "use pictures with that many, or another measurement")

    def of_size(self, height: int, width: int) -> Iterator[Complaint]:
        """A picture has `height` x `width` pixels."""
        yield from ()


class NoisyOptions(DeepinvOptions):
    """Options of an operator to whose measurement Gaussian noise is added (deepinv's `GaussianNoise`)."""

    noise: float = Field(0.0, ge=0, le=10)
    """Standard deviation of Gaussian noise on the measurement, in deepinv's units: pictures in [0, 1], so
    half of what it is on [-1, 1]; 0: none. Noise of other laws is a sensor of its own (kind: sequence)."""

    def facts(self) -> frozenset[str]:
        """Noise differs between pictures, and no pixel is exact under it."""
        return (self.always | {"random"}) - {"exact"} if self.noise else self.always


def rising(field: str, span: tuple[float, float]) -> Iterator[Complaint]:
    """A range must rise."""
    low, high = span
    if low > high:
        yield Complaint(
            field, f"the range begins at {low:g}, above its end {high:g}", f"use [{high:g}, {low:g}]"
        )


def within(field: str, side: int, height: int, width: int, what: str = "a kernel") -> Iterator[Complaint]:
    """A square of `side` pixels, which grows with the option `field`, must fit into the picture."""
    if side > min(height, width):
        message = f"{what} of {side}x{side} does not fit into a picture of {height}x{width}"
        yield Complaint(field, message, "make it smaller, or use larger pictures")


def square(height: int, width: int) -> Iterator[Complaint]:
    """The picture must be square."""
    if height != width:
        side = min(height, width)
        yield Complaint(
            "", f"takes square pictures, not {height}x{width}", f"use image_size: [{side}, {side}]"
        )
