"""Options of the codecs, and what cannot work with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

Quality = Annotated[int, Field(ge=1, le=100)]


class QuantiseOptions(Options):
    """Rounds pixels to a few levels, as a converter of few bits does."""

    levels: int = Field(8, ge=2, le=65536)
    """Values that y can take, evenly spaced from -1 to 1, both included; 2^bits for a converter."""
    dither: bool = False
    """Add uniform noise of one step before rounding, so that the mean of y is x. It is not taken off."""

    def facts(self) -> frozenset[str]:
        """Each pixel alone; random only with dither."""
        return frozenset({"pixelwise", "flip"}) | ({"random"} if self.dither else set())

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Each pixel of y has fewer values than one of an 8-bit picture, so laws of y have fewer freedoms."""
        if self.levels >= 256:
            return None
        return (
            "not identified",
            f"a pixel of y has {self.levels} values and one of an 8-bit picture 256, so different laws of a "
            "pixel give the same law of y",
        )


class JpegOptions(Options):
    """Compresses and decompresses as JPEG, bit for bit as libjpeg does."""

    quality: Quality | tuple[Quality, Quality] = 50
    """Quality as in libjpeg, or [lowest, highest]: uniform over the whole numbers, one a picture."""
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    """Colour at half the resolution (what encoders do unless told) or at full; grey pictures have none."""

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest quality."""
        return self.quality if isinstance(self.quality, tuple) else (self.quality, self.quality)

    def facts(self) -> frozenset[str]:
        """Random where quality is drawn. Blocks are counted from the left, so `flip` is not promised."""
        low, high = self.range
        return frozenset({"random"} if low < high else ())

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """A range must rise, and pictures must be grey or RGB."""
        low, high = self.range
        if low > high:
            yield Complaint("quality", f"the range begins at {low}, above its end {high}", "swap the two")
        channels = context.image_shape[0] if context.image_shape else 3
        if channels not in (1, 3):
            message = f"JPEG takes pictures of 1 or 3 channels, not {channels}"
            yield Complaint("", message, "use grey or RGB pictures, or kind: quantise")

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """One pixel that is a level off moves each coefficient by 1/4 at most, which is rounded away."""
        return (
            "not identified",
            "coefficients are rounded at every quality: a flat picture and one with a single pixel a level "
            "off have the same y",
        )
