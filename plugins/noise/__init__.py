"""Sensors that add noise: Gaussian, photon counts, salt and pepper, speckle.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import GaussianNoiseOptions, PoissonNoiseOptions, SaltPepperOptions, SpeckleOptions

if TYPE_CHECKING:
    from .sensors import GaussianNoise, PoissonNoise, SaltPepper, Speckle

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The noisy sensors."""
    yield Component("gaussian_noise", GaussianNoiseOptions, _gaussian_noise)
    yield Component("poisson_noise", PoissonNoiseOptions, _poisson_noise)
    yield Component("salt_pepper", SaltPepperOptions, _salt_pepper)
    yield Component("speckle", SpeckleOptions, _speckle)


def _gaussian_noise(options: GaussianNoiseOptions, _context: Context) -> GaussianNoise:
    from .sensors import GaussianNoise

    return GaussianNoise(*options.range, report_sigma=options.report_sigma)


def _poisson_noise(options: PoissonNoiseOptions, _context: Context) -> PoissonNoise:
    from .sensors import PoissonNoise

    return PoissonNoise(options.peak, options.dark)


def _salt_pepper(options: SaltPepperOptions, _context: Context) -> SaltPepper:
    from .sensors import SaltPepper

    return SaltPepper(options.p, salt=options.salt, per_channel=options.per == "channel")


def _speckle(options: SpeckleOptions, _context: Context) -> Speckle:
    from .sensors import Speckle

    return Speckle(options.looks)
