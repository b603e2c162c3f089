"""Sensors that store a picture in fewer bits: few grey levels, or JPEG.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import JpegOptions, QuantiseOptions

if TYPE_CHECKING:
    from .jpeg import Jpeg
    from .quantise import Quantise

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The sensors with a codec."""
    yield Component("quantise", QuantiseOptions, _quantise)
    yield Component("jpeg", JpegOptions, _jpeg)


def _quantise(options: QuantiseOptions, _context: Context) -> Quantise:
    from .quantise import Quantise

    return Quantise(options.levels, dither=options.dither)


def _jpeg(options: JpegOptions, _context: Context) -> Jpeg:
    from .jpeg import Jpeg

    return Jpeg(*options.range, halve_colour=options.subsampling == "4:2:0")
