"""Sensors that hide pixels: blocks, all but a window, a band, a half, the data's own holes, or nothing.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .area_options import BandOptions, HalfOptions, ObservedSquareOptions
from .options import BlockPatchOptions, IdentityOptions, KeepPatchOptions, MasksOfDataOptions

if TYPE_CHECKING:
    from .areas import Band, Half, ObservedSquare
    from .sensors import BlockPatch, Identity, KeepPatch, MasksOfData

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The masking sensors."""
    yield Component("identity", IdentityOptions, _identity)
    yield Component("block_patch", BlockPatchOptions, _block_patch)
    yield Component("keep_patch", KeepPatchOptions, _keep_patch)
    yield Component("band", BandOptions, _band)
    yield Component("observed_square", ObservedSquareOptions, _observed_square)
    yield Component("half", HalfOptions, _half)
    yield Component("masks_of_data", MasksOfDataOptions, _masks_of_data)


def _identity(_options: IdentityOptions, _context: Context) -> Identity:
    from .sensors import Identity

    return Identity()


def _block_patch(options: BlockPatchOptions, _context: Context) -> BlockPatch:
    from .sensors import BlockPatch

    return BlockPatch(options.height_width, fill=options.fill, count=options.count)


def _keep_patch(options: KeepPatchOptions, _context: Context) -> KeepPatch:
    from .sensors import KeepPatch

    return KeepPatch(options.height_width, fill=options.fill)


def _band(options: BandOptions, _context: Context) -> Band:
    from .areas import Band

    return Band(options.height, options.axis, fill=options.fill)


def _observed_square(options: ObservedSquareOptions, _context: Context) -> ObservedSquare:
    from .areas import ObservedSquare

    return ObservedSquare(*options.range, rectangle=options.shape == "rectangle", fill=options.fill)


def _half(options: HalfOptions, _context: Context) -> Half:
    from .areas import Half

    return Half(options.sides, fill=options.fill)


def _masks_of_data(options: MasksOfDataOptions, context: Context) -> MasksOfData:
    from .sensors import MasksOfData, masks_in

    return MasksOfData(masks_in(context), fill=options.fill)
