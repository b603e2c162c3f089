"""MisGAN's first stage as data and as a sensor: masks as pictures, and masks that a network makes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ambientkit import Component, Context, Options, hookimpl

from ..incomplete import IncompleteOptions
from ..sizes import Fill

if TYPE_CHECKING:
    from .dataset import MaskPictures
    from .sensor import LearnedMasks

AMBIENTKIT_HOOK_API = 1


class MasksOfIncompleteOptions(IncompleteOptions):
    """The masks of pictures that arrive incomplete, as pictures: white is known, black is hidden.

    A generation run on them, with the sensor `identity`, learns their law (MisGAN: Li, Jiang and Marlin
    2019, sec. 3); `learned_masks` then hides as its generator does. Options are those of `incomplete`.
    """

    def facts(self) -> frozenset[str]:
        """All of a mask is known."""
        return frozenset({"clean"})


class LearnedMasksOptions(Options):
    """Hides what the mask generator of another run hides, a new mask for each picture (MisGAN, sec. 3)."""

    run: Path
    """Folder of a run that makes masks, of one channel and the pictures' size (see `masks_of_incomplete`)."""
    checkpoint: str = "latest"
    """Its checkpoint: `latest`, `best` or a name such as `step-0003000`."""
    fill: Fill = 0.0
    """Value of hidden pixels, in [-1, 1]: 1 is white, -1 black."""

    def facts(self) -> frozenset[str]:
        """Exact where it does not hide; a network's law has no symmetry that could be promised."""
        return frozenset({"exact", "observed", "random", "pixelwise"})


@hookimpl
def register_datasets() -> Iterable[Component]:
    """`masks_of_incomplete`."""
    yield Component("masks_of_incomplete", MasksOfIncompleteOptions, _masks)


@hookimpl
def register_measurements() -> Iterable[Component]:
    """`learned_masks`."""
    yield Component("learned_masks", LearnedMasksOptions, _learned)


def _masks(options: MasksOfIncompleteOptions, context: Context) -> MaskPictures:
    from ..incomplete.dataset import open_incomplete
    from .dataset import MaskPictures

    return MaskPictures(open_incomplete(options, context.image_size))


def _learned(options: LearnedMasksOptions, _context: Context) -> LearnedMasks:
    from .sensor import open_masks

    return open_masks(options.run.expanduser(), options.checkpoint, options.fill)
