"""Sensors of optics: a blur with noise, motion blur, and lower resolution.

Torch is imported when a sensor is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl

from .options import ConvolveNoiseOptions, DownsampleOptions, MotionBlurOptions

if TYPE_CHECKING:
    from .blur import ConvolveNoise
    from .downsample import Downsample
    from .motion import MotionBlur

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_measurements() -> Iterable[Component]:
    """The sensors of optics."""
    yield Component("convolve_noise", ConvolveNoiseOptions, _convolve_noise)
    yield Component("motion_blur", MotionBlurOptions, _motion_blur)
    yield Component("downsample", DownsampleOptions, _downsample)


def _convolve_noise(options: ConvolveNoiseOptions, _context: Context) -> ConvolveNoise:
    from .blur import ConvolveNoise, box_profile, gaussian_profile
    from .border import Border

    size = options.size
    profile = gaussian_profile(size, options.sigma) if options.kernel == "gaussian" else box_profile(size)
    return ConvolveNoise(profile, options.noise, Border(options.padding, options.outside))


def _motion_blur(options: MotionBlurOptions, _context: Context) -> MotionBlur:
    from .border import Border
    from .motion import MotionBlur

    return MotionBlur(options.length, options.angle, Border(options.padding, options.outside))


def _downsample(options: DownsampleOptions, _context: Context) -> Downsample:
    from .downsample import Downsample

    return Downsample(options.factor, options.antialias)
