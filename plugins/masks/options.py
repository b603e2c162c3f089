"""Options of the masking sensors, and what cannot work with them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

from ..sizes import Fill, Pixels, size_in


class IdentityOptions(Options):
    """Whole, clean pictures: nothing is hidden (the fully supervised ceiling)."""

    def facts(self) -> frozenset[str]:
        """Exact, and every pixel is observed."""
        return frozenset({"exact", "observed", "pixelwise", "flip"})

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """Trivially."""
        return "identified", "y is the picture"


class _WindowOptions(Options):
    """What sensors with a window anywhere in the picture share."""

    size: Pixels | tuple[Pixels, Pixels] = 28
    """Side of the window in pixels, or its [height, width]. Every offset in the picture is drawn."""
    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]: 1 is white, -1 black."""

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width of the window."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def facts(self) -> frozenset[str]:
        """Observed pixels are exact, holes differ between pictures, and a mirrored pair has the same law."""
        return frozenset({"exact", "observed", "pixelwise", "random", "flip"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """A window must fit into the picture."""
        picture = size_in(context)
        if picture is None:
            return
        (height, width), (tall, wide) = picture, self.height_width
        if tall > height or wide > width:
            message = f"a window of {tall}x{wide} does not fit into a picture of {height}x{width}"
            yield Complaint("size", message, f"use at most [{height}, {width}]")
        else:
            yield from self._of_a_window_that_fits(picture)

    def _of_a_window_that_fits(self, picture: tuple[int, int]) -> Iterator[Complaint]:
        yield from ()


class BlockPatchOptions(_WindowOptions):
    """Hides one block, or several, anywhere in the picture (AmbientGAN's block-patch)."""

    count: int = Field(1, ge=1)
    """Blocks a picture; they may overlap."""

    def _of_a_window_that_fits(self, picture: tuple[int, int]) -> Iterator[Complaint]:
        (height, width), (tall, wide) = picture, self.height_width
        if (tall, wide) == picture:
            yield Complaint(
                "size", f"a block of {tall}x{wide} hides the whole picture", "use a smaller block"
            )
        elif 2 * tall > height and 2 * wide > width:
            middle = f"{2 * tall - height}x{2 * wide - width}"
            yield Complaint(
                "size",
                f"the middle {middle} pixels are hidden in every picture, so nothing can be learnt there",
                f"make one side at most half the picture's ({height // 2} high or {width // 2} wide)",
                warning=True,
            )

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """By counting: how few pixels hit every block."""
        picture = size_in(context)
        return None if picture is None else law_under_blocks(picture, self.height_width)


class KeepPatchOptions(_WindowOptions):
    """Hides all but one window, anywhere in the picture (AmbientGAN's keep-patch)."""

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Opposite corners are in no window."""
        picture = size_in(context)
        if picture is None:
            return None
        last = (picture[0] - 1, picture[1] - 1)
        tall, wide = self.height_width
        reason = (
            f"pixels that are {tall} or more rows or {wide} or more columns apart are never in one window, "
            f"such as (0, 0) and {last}"
        )
        return "not identified", reason

    def _of_a_window_that_fits(self, picture: tuple[int, int]) -> Iterator[Complaint]:
        if self.height_width == picture:
            message = "a window as large as the picture hides nothing"
            yield Complaint("size", message, "use a smaller window, or kind: identity")


class MasksOfDataOptions(Options):
    """Hides what another picture of the data had hidden: holes drawn from those the data came with.

    For data that arrive measured. `mask_from_data` draws holes from a folder of mask pictures instead.
    """

    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]; use the data's own."""

    def facts(self) -> frozenset[str]:
        """Holes need not be symmetric, so `flip` is not promised."""
        return frozenset({"exact", "observed", "pixelwise", "random", "needs_data_masks"})


def law_under_blocks(picture: tuple[int, int], block: tuple[int, int]) -> tuple[Verdict, str]:
    """What pictures (H, W) are known by where a block (h, w) is hidden at any place, several or not.

    The fewest pixels that hit every block are floor(H / h) x floor(W / w), those in every h-th row and
    every w-th column: so many blocks lie beside each other and need a pixel each, and these hit all.
    Fewer pixels than that are all seen at times, so their joint law is determined.
    """
    (height, width), (tall, wide) = picture, block
    rows, columns = range(tall - 1, height, tall), range(wide - 1, width, wide)
    count = len(rows) * len(columns)
    if count == 1:
        middle = (2 * tall - height) * (2 * wide - width)
        return (
            "not identified",
            f"{middle} pixels in the middle are never observed, such as {(rows[0], columns[0])}",
        )
    where = f"rows {_few(rows)} x columns {_few(columns)}"
    if count == 2:
        return "not identified", f"two pixels are never observed together: {where}"
    reason = (
        f"the {count} pixels of {where} hit every block, so they are never all seen at once: bits of even "
        "parity there and independent bits give the same measurements; "
        f"any {count - 1} pixels are all seen at times"
    )
    return "lower-order marginals only", reason


def _few(places: range) -> str:
    """{27, 55}, or {7, 15, ..., 63}."""
    if len(places) <= 3:
        return "{" + ", ".join(map(str, places)) + "}"
    return f"{{{places[0]}, {places[1]}, ..., {places[-1]}}}"
