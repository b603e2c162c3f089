"""Options of the strokes and the text that hide pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from ambientkit import Complaint, Context, Options

from ..sizes import Fill, Pixels, Range, in_order, size_in

GLYPH = (7, 5)  # height and width of a character, in dots
PITCH = (9, 6)  # from one character's corner to the next one's

AtLeastTwo = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(gt=0, le=1)]


class FreeFormOptions(Options):
    """Hides random brush strokes (free-form masks in the manner of DeepFill v2, Yu et al. 2019)."""

    strokes: Range = (1, 3)
    """[fewest, most] strokes a picture, drawn uniformly."""
    vertices: Annotated[tuple[AtLeastTwo, AtLeastTwo], AfterValidator(in_order)] = (4, 11)
    """[fewest, most] vertices a stroke, drawn uniformly; straight segments lead from one to the next."""
    width: Annotated[tuple[Share, Share], AfterValidator(in_order)] = (0.047, 0.156)
    """[thinnest, widest] brush as fractions of the picture's shorter side, drawn uniformly a stroke, never
    below one pixel. Yu et al. have 12 to 40 of 256."""
    length: float = Field(0.125, gt=0, le=1)
    """Mean length of a segment as a fraction of the picture's diagonal; the standard deviation is half of
    it, and lengths are cut off at 0 and at twice the mean."""
    angle: float = Field(72, ge=0, le=180)
    """Degrees by which segments leave the stroke's direction, to the one and the other side in turn: 0 is a
    straight line, 72 (Yu et al.) a zigzag."""
    angle_spread: float = Field(24, ge=0, le=180)
    """Each segment's angle is uniform within so many degrees of `angle`."""
    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]: 1 is white, -1 black."""

    def facts(self) -> frozenset[str]:
        """Exact; directions are uniform, so a mirrored pair has the same law."""
        return frozenset({"exact", "observed", "pixelwise", "random", "flip"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Warns where a stroke may be as wide as the picture."""
        if 2 * self.width[1] > 1:
            message = f"brushes of up to {self.width[1]:g} of the shorter side may hide nearly everything"
            yield Complaint("width", message, "use at most 0.5", warning=True)


class TextOverlayOptions(Options):
    """Hides what lies under text: lines of random letters, digits and blanks, as a caption does."""

    characters: Pixels = 5
    """Characters a line. Each is a blank with probability 1/6, else one of 26 letters and 10 digits; the
    first of a text is never blank."""
    lines: Pixels = 2
    """Lines of text, one under the other."""
    scale: Range = (1, 2)
    """[smallest, largest] pixels a dot of the 5x7 font, drawn uniformly a picture. The largest text must fit
    into the picture: characters x 6 - 1 dots wide, lines x 9 - 2 dots high."""
    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]: 1 is white, -1 black."""

    @property
    def dots(self) -> tuple[int, int]:
        """Height and width of the text, in dots of its font."""
        return text_dots(self.lines, self.characters)

    def facts(self) -> frozenset[str]:
        """Exact. Mirrored text is no text, so `flip` is not promised."""
        return frozenset({"exact", "observed", "pixelwise", "random"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The text must fit at its largest scale."""
        picture = size_in(context)
        if picture is None:
            return
        (height, width), (tall, wide) = picture, (self.scale[1] * side for side in self.dots)
        if tall > height or wide > width:
            largest = min(height // self.dots[0], width // self.dots[1])
            remedy = f"a scale of at most {largest}" if largest else "fewer characters or lines"
            message = f"text of {tall}x{wide} pixels does not fit into a picture of {height}x{width}"
            yield Complaint("scale" if largest else "characters", message, f"use {remedy}")


def text_dots(lines: int, characters: int) -> tuple[int, int]:
    """Height and width of a text in dots, without the gaps after its last line and column."""
    gaps = (PITCH[0] - GLYPH[0], PITCH[1] - GLYPH[1])
    return lines * PITCH[0] - gaps[0], characters * PITCH[1] - gaps[1]
