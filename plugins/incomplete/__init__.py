"""Pictures that arrive incomplete: no clean version of them exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from ambientkit import Complaint, Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .dataset import IncompletePictures

AMBIENTKIT_HOOK_API = 1
ARRAY_SUFFIXES = frozenset({".npz", ".npy"})


class IncompleteOptions(Options):
    """Pictures that arrive incomplete, with masks, alpha or a key colour that tells what is hidden.

    Hidden pixels are wiped while reading and hold the sensor's `fill` from then on, for real and fake
    alike. Pictures are never resized, for that would mix hidden pixels into known ones. All are kept in
    memory. A picture that is hidden altogether is refused; one that is whole is welcome, unless all are.
    """

    source: Path
    """A folder of pictures, or an `.npz` file with `images` (N, H, W) or (N, H, W, C), uint8 or float, and
    `hidden` or `observed`, bool (N, H, W); or an `.npy` file of such images."""
    masks: Path | None = None
    """A folder with a mask of the same relative path, but for the suffix, for each picture, white (from 128
    on) where it is hidden; for `.npy` images an `.npy` file of bool masks (N, H, W)."""
    invert: bool = False
    """`masks` are white (or true) where pixels are known."""
    alpha: bool = False
    """Pixels with an alpha below 128 are hidden (pictures in a folder)."""
    key_colour: Annotated[str, StringConstraints(pattern="^#[0-9a-fA-F]{6}$")] | None = None
    """Pixels of this colour, `'#rrggbb'`, are hidden (8-bit pictures)."""
    tolerance: int = Field(0, ge=0, le=255)
    """How far each channel may be from the key colour, of 255."""
    dilate: int = Field(0, ge=0, le=256)
    """Grow what is hidden by so many pixels to every side: JPEG bleeds over the edge of a hole."""
    value_range: tuple[float, float] | None = None
    """The values of float images that stand for black and white; needed for those, and only for those."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """`fail`: refuse, naming the file. `skip`: leave out and report pictures that cannot be read, or whose
    mask cannot. A mask that is not there, or does not fit, is refused all the same."""

    @property
    def from_arrays(self) -> bool:
        """Whether `source` is a file of arrays, not a folder."""
        return self.source.suffix.lower() in ARRAY_SUFFIXES

    def facts(self) -> frozenset[str]:
        """Measured pictures."""
        return frozenset({"measured", "observed"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Mask sources that are missing, too many or impossible, and options without effect."""
        given = [self.masks is not None, self.alpha, self.key_colour is not None]
        carries_masks = self.source.suffix.lower() == ".npz"
        if sum(given) > 1 or (not any(given) and not carries_masks):
            remedy = "set one; a colour is written in quotes, '#ffffff'"
            if sum(given) > 1:
                remedy = "leave one; a recipe's own is taken back by null, and `alpha` by false"
            yield Complaint(
                "", "exactly one of `masks`, `alpha` and `key_colour` tells what is hidden", remedy
            )
        if self.alpha and self.from_arrays:
            yield Complaint("alpha", "arrays have no alpha channel", "use `key_colour`, or masks in the file")
        if self.masks is not None and carries_masks:
            yield Complaint("masks", "an .npz file brings its masks", "put `hidden` into it")
        yield from self._without_effect()

    def _without_effect(self) -> Iterator[Complaint]:
        if self.invert and self.masks is None:
            yield Complaint("invert", "is about `masks`, which are not given", "remove it")
        if self.tolerance and self.key_colour is None:
            yield Complaint("tolerance", "is about `key_colour`, which is not given", "remove it")
        if self.on_bad_image == "skip" and self.from_arrays:
            yield Complaint("on_bad_image", "is about picture files, and these are arrays", "remove it")
        if self.value_range is not None and not self.from_arrays:
            yield Complaint("value_range", "is about float arrays; picture files have 8 bits", "remove it")
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            yield Complaint("value_range", "the first value must be below the second")


def _build(options: IncompleteOptions, context: Context) -> IncompletePictures:
    from .dataset import open_incomplete

    return open_incomplete(options, context.image_size)


@hookimpl
def register_datasets() -> Iterator[Component]:
    """`incomplete`."""
    yield Component("incomplete", IncompleteOptions, _build)
