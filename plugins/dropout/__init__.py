"""Sensors that drop pixels, rows or columns at random (AmbientGAN).

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import BlockPixelsOptions, DropColumnsOptions, DropRowsColumnsOptions, DropRowsOptions

if TYPE_CHECKING:
    from .sensors import BlockPixels, DropColumns, DropRows, DropRowsColumns

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The sensors that drop pixels or lines."""
    yield Component("block_pixels", BlockPixelsOptions, _block_pixels)
    yield Component("drop_rows", DropRowsOptions, _drop_rows)
    yield Component("drop_columns", DropColumnsOptions, _drop_columns)
    yield Component("drop_rows_columns", DropRowsColumnsOptions, _drop_rows_columns)


def _block_pixels(options: BlockPixelsOptions, _context: Context) -> BlockPixels:
    from .sensors import BlockPixels

    return BlockPixels(options.p, options.per == "channel", options.rescale, options.fill)


def _drop_rows(options: DropRowsOptions, _context: Context) -> DropRows:
    from .sensors import DropRows

    return DropRows(options.p, options.per == "channel", options.rescale, options.fill)


def _drop_columns(options: DropColumnsOptions, _context: Context) -> DropColumns:
    from .sensors import DropColumns

    return DropColumns(options.p, options.per == "channel", options.rescale, options.fill)


def _drop_rows_columns(options: DropRowsColumnsOptions, _context: Context) -> DropRowsColumns:
    from .sensors import DropRowsColumns

    return DropRowsColumns(options.p, options.per == "channel", options.rescale, options.fill)
