"""Options of the masking sensors, and what cannot work with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from ambientkit import Complaint, Context, Options

Pixels = Annotated[int, Field(ge=1)]
Fill = Annotated[float, Field(ge=-1, le=1)]


class IdentityOptions(Options):
    """Whole, clean pictures: nothing is hidden (the fully supervised ceiling)."""

    def facts(self) -> frozenset[str]:
        """Exact, and every pixel is observed."""
        return frozenset({"exact", "observed", "pixelwise", "flip"})


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


class KeepPatchOptions(_WindowOptions):
    """Hides all but one window, anywhere in the picture (AmbientGAN's keep-patch)."""

    def _of_a_window_that_fits(self, picture: tuple[int, int]) -> Iterator[Complaint]:
        if self.height_width == picture:
            message = "a window as large as the picture hides nothing"
            yield Complaint("size", message, "use a smaller window, or kind: identity", warning=True)


class MasksOfDataOptions(Options):
    """Hides what another picture of the data had hidden: holes drawn from those the data came with."""

    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]; use the data's own."""

    def facts(self) -> frozenset[str]:
        """Holes need not be symmetric, so `flip` is not promised."""
        return frozenset({"exact", "observed", "pixelwise", "random", "needs_data_masks"})


def size_in(context: Context) -> tuple[int, int] | None:
    """(H, W) of the pictures, None where it is not known yet."""
    if context.image_shape is not None:
        return context.image_shape[-2], context.image_shape[-1]
    return context.image_size
