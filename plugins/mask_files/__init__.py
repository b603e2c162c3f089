"""Holes from a folder of mask pictures.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import MaskFromDataOptions

if TYPE_CHECKING:
    from .sensor import MaskFromData

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """Masks from files."""
    yield Component("mask_from_data", MaskFromDataOptions, _mask_from_data)


def _mask_from_data(options: MaskFromDataOptions, context: Context) -> MaskFromData:
    from .sensor import MaskFromData

    sensor = MaskFromData(
        options.folder.expanduser(), options.hidden, options.resize, options.mirror, fill=options.fill
    )
    if context.image_shape is not None:  # so that a bad mask is found before training, not in it
        sensor.masks(context.image_shape)
    return sensor
