"""Options of the projecting and cropping sensors, and what cannot work with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options
from ambientkit.registry import Verdict

from ..sizes import size_in

Pixels = Annotated[int, Field(ge=1)]


class _ProjectionOptions(Options):
    """What projections share."""

    angles: int = Field(1, ge=1)
    """Directions a picture is projected along, each drawn uniformly from [-pi, pi); y has one row for each.
    AmbientGAN: 2 on MNIST, 1 on CelebA."""
    air: float = Field(-1.0, ge=-1, lt=1)
    """Pixel value in [-1, 1] that adds nothing to a projection, as air does: what is summed is the
    intensity (x - air) / (1 - air), and beyond the picture there is air. -1: black, AmbientGAN's MNIST in
    [0, 1]; 0: grey, AmbientGAN's CelebA in [-1, 1]."""
    scale: Literal["sum", "mean"] = "sum"
    """`sum` of the intensities along each line (AmbientGAN), 1 a pixel; `mean`: the sum divided by the
    number of samples on the line, so that values stay near those of the picture."""


class PadRotateProjectOptions(_ProjectionOptions):
    """Projections along random directions that are not told (AmbientGAN's pad-rotate-project).

    y is (C, angles, L), L the first whole number of the parity of the longer side that is >= sqrt(H^2 + W^2).
    """

    def facts(self) -> frozenset[str]:
        """A mirrored projection is the one at the angle + pi, which is as likely."""
        return frozenset({"random", "reshapes", "flip"})

    def identifiability(self, context: Context) -> tuple[Verdict, str]:
        """The projection of x at angle + pi is that of x turned by pi, and is as likely."""
        return (
            "not identified",
            "angles are uniform and not told, so pictures and the same pictures turned by half a turn have "
            "equal laws of y",
        )


class PadRotateProjectThetaOptions(_ProjectionOptions):
    """Projections along random directions that are told (AmbientGAN's pad-rotate-project-theta).

    y is (C, angles, L) as of pad_rotate_project; `known` is {"angle": (n, angles)} in radians.
    """

    def facts(self) -> frozenset[str]:
        """Not flip: a mirrored projection would need the angle + pi beside it."""
        return frozenset({"random", "reshapes"})


class ExtractPatchOptions(Options):
    """Crops one patch anywhere in the picture and forgets the place (AmbientGAN's extract-patch)."""

    size: Pixels | tuple[Pixels, Pixels] = 14
    """Side of the patch in pixels, or its [height, width]. Every offset in the picture is drawn.
    AmbientGAN: 14 on MNIST."""
    pad: bool = True
    """Put the patch into the middle of a picture of full size (AmbientGAN's code), or deliver it alone."""
    fill: float | None = Field(None, ge=-1, le=1)
    """Value about a padded patch, in [-1, 1]; null: -1, black, which is the 0 of AmbientGAN's MNIST in [0,
    1]."""

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width of the patch."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def surround(self) -> float:
        """The value about a padded patch."""
        return -1.0 if self.fill is None else self.fill

    def facts(self) -> frozenset[str]:
        """A lone patch may be mirrored; a padded one lies off the middle where margins are odd."""
        return frozenset({"random"} if self.pad else {"random", "reshapes", "flip"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The patch must fit into the picture, and a lone one has nothing about it."""
        if not self.pad and self.fill is not None:
            message = "is used with pad: true alone"
            yield Complaint("fill", message, "set fill: null, or pad: true")
        picture = size_in(context)
        if picture is None:
            return
        (height, width), (tall, wide) = picture, self.height_width
        if tall > height or wide > width:
            message = f"a patch of {tall}x{wide} does not fit into a picture of {height}x{width}"
            yield Complaint("size", message, f"use at most [{height}, {width}]")
        elif (tall, wide) == picture:
            message = "a patch as large as the picture loses nothing"
            yield Complaint("size", message, "use a smaller patch, or kind: identity", warning=True)

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Opposite corners are in no patch, unless it is the picture."""
        picture = size_in(context)
        if picture is None:
            return None
        if self.height_width == picture:
            return "identified", "the patch is the picture"
        last = (picture[0] - 1, picture[1] - 1)
        return "not identified", f"pixels (0, 0) and {last} are never in one patch"
