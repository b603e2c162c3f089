"""Options of the sensors with one simple area a picture: a band, an observed square, a half."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

from ..sizes import Fill, Pixels, Range, size_in

Axis: TypeAlias = Literal["rows", "columns"]
Side: TypeAlias = Literal["left", "right", "top", "bottom"]
Thickness = Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=1, strict=True)]


class BandOptions(Options):
    """Hides a band from edge to edge, anywhere in the picture (UAIR's, 0.3 of the height)."""

    height: Thickness = 0.3
    """Thickness of the band: below 1 a fraction of the picture's height (rounded to pixels, at least one),
    from 1 on pixels. With `axis: columns` it is of the width. Every offset in the picture is drawn."""
    axis: Axis = "rows"
    """`rows` hides a band of full width, `columns` one of full height."""
    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]: 1 is white, -1 black."""

    def facts(self) -> frozenset[str]:
        """Exact, and a mirrored pair has the same law."""
        return frozenset({"exact", "observed", "pixelwise", "random", "flip"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """A band must leave something, and should hide no line in every picture."""
        picture = size_in(context)
        if picture is None:
            return
        side = picture[0 if self.axis == "rows" else 1]
        thick = band_pixels(self.height, side)
        if thick >= side:
            message = f"a band of {thick} {self.axis} leaves none of a picture's {side}"
            yield Complaint("height", message, f"use at most {side - 1}")
        elif 2 * thick > side:
            yield Complaint(
                "height",
                f"the middle {2 * thick - side} {self.axis} are hidden in every picture, so nothing can be "
                "learnt there",
                f"use at most {side // 2} of {side}",
                warning=True,
            )

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """By the fewest lines of which every band hides one: floor(side / thickness)."""
        picture = size_in(context)
        if picture is None:
            return None
        side = picture[0 if self.axis == "rows" else 1]
        thick = band_pixels(self.height, side)
        hit = list(range(thick - 1, side, thick))
        if len(hit) == 1:
            return "not identified", f"{2 * thick - side} of the {self.axis} are never observed, as {hit[0]}"
        if len(hit) == 2:
            return "not identified", f"{self.axis} {hit[0]} and {hit[1]} are never observed together"
        reason = f"every band hides one of the {len(hit)} {self.axis} {hit[0]}, {hit[1]}, ..., {hit[-1]}, so "
        return "lower-order marginals only", reason + "these are never all seen at once; any fewer are"


def band_pixels(height: float | int, side: int) -> int:
    """Thickness in pixels of a band that is so high in a picture of `side`."""
    return height if isinstance(height, int) else max(1, round(height * side))


class ObservedSquareOptions(Options):
    """Hides all but one square, of fixed or of varying size (MisGAN's observed square)."""

    size: Pixels | Range = 14
    """Side of the square in pixels, or [smallest, largest], from which each picture's side is drawn
    uniformly, both included. MisGAN: 14 for 28x28, 32 for 64x64. (keep_patch's two numbers are height
    and width.)"""
    shape: Literal["square", "rectangle"] = "square"
    """`rectangle`: height and width are each drawn from `size` (MisGAN's code: 7 to 20 of 28)."""
    fill: Fill = 0.0
    """Value of hidden pixels, in [-1, 1]. MisGAN's tau is in [0, 1]: its 0 is -1 here, its 0.5 is 0."""

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest side."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def facts(self) -> frozenset[str]:
        """Exact, and a mirrored pair has the same law."""
        return frozenset({"exact", "observed", "pixelwise", "random", "flip"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The largest square must fit, and a rectangle is one only where its sides vary."""
        smallest, largest = self.range
        if self.shape == "rectangle" and smallest == largest:
            message = "a rectangle with one size for both sides is a square"
            yield Complaint("shape", message, "give `size` as [smallest, largest], or leave out `shape`")
        picture = size_in(context)
        if picture is None:
            return
        height, width = picture
        if largest > min(picture):
            message = f"a square of {largest} does not fit into a picture of {height}x{width}"
            yield Complaint("size", message, f"use at most {min(picture)}")
        elif smallest == height == width:
            message = "a square as large as the picture hides nothing"
            yield Complaint("size", message, "use a smaller one, or kind: identity")

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Opposite corners are in no window, unless it may be the picture."""
        picture = size_in(context)
        if picture is None:
            return None
        largest = self.range[1]
        if (largest, largest) == picture:
            return "identified", "the window is the picture with probability > 0"
        last = (picture[0] - 1, picture[1] - 1)
        reason = f"pixels {largest} or more rows or columns apart are never in one window: (0, 0) and {last}"
        return "not identified", reason


def _each_once(sides: tuple[Side, ...]) -> tuple[Side, ...]:
    if len(set(sides)) < len(sides):
        raise ValueError("each side may be listed once")
    return sides


class HalfOptions(Options):
    """Hides one half of the picture: left, right, top or bottom."""

    sides: Annotated[tuple[Side, ...], Field(min_length=1), AfterValidator(_each_once)] = (
        "left",
        "right",
        "top",
        "bottom",
    )
    """The halves that may be hidden, of which each picture loses one, all as likely."""
    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]: 1 is white, -1 black."""

    def facts(self) -> frozenset[str]:
        """Random with two sides or more; mirrored alike where left and right are both in, or neither."""
        said = {"random": len(self.sides) > 1, "flip": ("left" in self.sides) == ("right" in self.sides)}
        return frozenset({"exact", "observed", "pixelwise"}) | {fact for fact, holds in said.items() if holds}

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """A picture needs two lines, and one that always loses the same half teaches nothing of it."""
        picture = size_in(context)
        if picture is not None and min(picture) < 2:
            message = f"a picture of {picture[0]}x{picture[1]} has no half"
            yield Complaint("", message, "use pictures of 2x2 or more")
        if len(self.sides) == 1:
            message = f"the {self.sides[0]} half is hidden in every picture, so nothing can be learnt there"
            yield Complaint("sides", message, "list two or more", warning=True)

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Every side holds one of two opposite corners; sides that share a corner always hide it."""
        picture = size_in(context)
        if picture is None:
            return None
        height, width = picture
        if {"left", "right"} <= set(self.sides) or {"top", "bottom"} <= set(self.sides):
            far = (height - 1, width - 1)
            return "not identified", f"pixels (0, 0) and {far} are never observed together"
        corner = (height - 1 if "bottom" in self.sides else 0, width - 1 if "right" in self.sides else 0)
        return "not identified", f"pixel {corner} is never observed"
