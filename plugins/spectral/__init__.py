"""Sensors that measure sums over the whole picture: its spectrum, and random projections.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import CompressedSensingOptions, FourierOptions

if TYPE_CHECKING:
    from .compressed import CompressedSensing
    from .fourier import Fourier

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The spectral sensors."""
    yield Component("fourier", FourierOptions, _fourier)
    yield Component("compressed_sensing", CompressedSensingOptions, _compressed_sensing)


def _fourier(options: FourierOptions, _context: Context) -> Fourier:
    from .fourier import Fourier

    return Fourier(options.acceleration, options.centre, options.pattern, options.noise)


def _compressed_sensing(options: CompressedSensingOptions, _context: Context) -> CompressedSensing:
    from .compressed import CompressedSensing

    return CompressedSensing(options.amount, options.matrix, options.seed, options.noise)
