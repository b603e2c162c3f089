"""Options of the sensors that drop pixels or lines, and what cannot work with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

from ..sizes import Fill, size_in


class _DropOptions(Options):
    p: float = Field(0.5, gt=0, lt=1)
    """Probability that one is dropped, to the nearest multiple of 2^-16."""
    rescale: bool = False
    """Stretch what is kept away from `fill` by 1 / (1 - p), so that the mean of y is x, as AmbientGAN's code
    does. Observed pixels are then no longer those of the picture: not exact, and no compositing."""
    fill: Fill = 0.0
    """Value of dropped pixels, in [-1, 1], and the zero that `rescale` stretches about. AmbientGAN's is 0:
    in [-1, 1] for CelebA and CIFAR-10, which is 0.0 here, but in [0, 1] for MNIST, which is -1.0 here."""

    def facts(self) -> frozenset[str]:
        """Exact unless rescaled; each pixel or line is dropped alike, so a mirrored pair has the same law."""
        facts = frozenset({"observed", "pixelwise", "random", "flip"})
        return facts if self.rescale else facts | {"exact"}

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """Nothing is dropped with probability above 0 (AmbientGAN, sec. 5, of block-pixels)."""
        return "identified", "the whole picture is seen with probability > 0, for drops are independent"


class BlockPixelsOptions(_DropOptions):
    """Drops each pixel with probability p, independently (AmbientGAN's block-pixels)."""

    per: Literal["pixel", "channel"] = "pixel"
    """`pixel`: all channels of a pixel go together (AmbientGAN's CIFAR-10); `channel`: each value is dropped
    on its own, so that a pixel may keep its red alone (AmbientGAN's MNIST and CelebA)."""

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Warns where a picture keeps less than one pixel on average."""
        size = size_in(context)
        if size is not None and (1 - self.p) * size[0] * size[1] < 1:
            yield _nearly_nothing("pixel", self.p, size)


class _DropLinesOptions(_DropOptions):
    per: Literal["line", "channel"] = "line"
    """`line`: all channels of a line go together; `channel`: each channel drops lines of its own, as
    AmbientGAN's code has it."""


class DropRowsOptions(_DropLinesOptions):
    """Drops each row with probability p, independently (AmbientGAN's drop-rows)."""

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Warns where a picture keeps less than one row on average."""
        size = size_in(context)
        if size is not None and (1 - self.p) * size[0] < 1:
            yield _nearly_nothing("row", self.p, size)


class DropColumnsOptions(_DropLinesOptions):
    """Drops each column with probability p, independently (AmbientGAN's drop-columns)."""

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Warns where a picture keeps less than one column on average."""
        size = size_in(context)
        if size is not None and (1 - self.p) * size[1] < 1:
            yield _nearly_nothing("column", self.p, size)


class DropRowsColumnsOptions(_DropLinesOptions):
    """Drops each row and each column with probability p (AmbientGAN's drop-rows-and-columns).

    A pixel is seen where its row and its column are kept, with probability (1 - p)^2; `rescale` stretches
    by 1 / (1 - p)^2.
    """

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Warns where a picture keeps less than one row or one column on average."""
        size = size_in(context)
        if size is not None and (1 - self.p) * min(size) < 1:
            yield _nearly_nothing("row" if size[0] <= size[1] else "column", self.p, size)


def _nearly_nothing(what: str, p: float, size: tuple[int, int]) -> Complaint:
    return Complaint(
        "p",
        f"at p = {p:g} less than one {what} of a picture of {size[0]}x{size[1]} is seen on average",
        "use a smaller p",
        warning=True,
    )
