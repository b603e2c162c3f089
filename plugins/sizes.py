"""What the options of many sensors share: kinds of numbers, and the size of the pictures."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from ambientkit import Context

Number = TypeVar("Number", int, float)


def in_order(bounds: tuple[Number, Number]) -> tuple[Number, Number]:
    """The bounds themselves. Raises ValueError where the first is above the last."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"the smallest, {bounds[0]}, is above the largest, {bounds[1]}")
    return bounds


Pixels = Annotated[int, Field(ge=1)]
Range = Annotated[tuple[Pixels, Pixels], AfterValidator(in_order)]
"""[smallest, largest] of what is drawn uniformly, both included."""
Fill = Annotated[float, Field(ge=-1, le=1)]
"""A picture value, in [-1, 1]: 1 is white, -1 black."""


def size_in(context: Context) -> tuple[int, int] | None:
    """(H, W) of the pictures, None where it is not known yet."""
    if context.image_shape is not None:
        return context.image_shape[-2], context.image_shape[-1]
    return context.image_size


def halvings(height: int, width: int) -> int:
    """How often a picture is halved until its smaller side is 4 to 7 pixels."""
    return max(0, (min(height, width) // 4).bit_length() - 1)
