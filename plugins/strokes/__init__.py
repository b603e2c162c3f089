"""Sensors that hide pixels under brush strokes or under text.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import FreeFormOptions, TextOverlayOptions

if TYPE_CHECKING:
    from .free_form import FreeForm
    from .text import TextOverlay

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """Strokes and text."""
    yield Component("free_form", FreeFormOptions, _free_form)
    yield Component("text_overlay", TextOverlayOptions, _text_overlay)


def _free_form(options: FreeFormOptions, _context: Context) -> FreeForm:
    from .free_form import Brush, FreeForm

    brush = Brush(
        strokes=options.strokes,
        vertices=options.vertices,
        width=options.width,
        length=options.length,
        angle=math.radians(options.angle),
        angle_spread=math.radians(options.angle_spread),
    )
    return FreeForm(brush, fill=options.fill)


def _text_overlay(options: TextOverlayOptions, _context: Context) -> TextOverlay:
    from .text import TextOverlay

    return TextOverlay(options.characters, options.lines, options.scale, fill=options.fill)
