"""Fog as a sensor for ambientkit. Torch is imported when the sensor is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ambientkit import Complaint, Component, Context, Options, hookimpl
from pydantic import Field

if TYPE_CHECKING:
    from .sensor import Fog

AMBIENTKIT_HOOK_API = 1
namespace = "fog"  # as when installed, where a test hands this module to Engine(plugins=[...])


class FogOptions(Options):
    """Fog over flat ground: the farther, the whiter; density and light differ from picture to picture.

    I = J t + A (1 - t) with t = exp(-beta d), Koschmieder's law (Narasimhan and Nayar 2002, eq. 3 and 4),
    for light from 0 (black) to 1 (white). Distance d grows with the height in the picture up to the horizon.
    """

    thickest: float = Field(0.06, gt=0, le=10)
    """Largest scattering coefficient in 1/m; beta is uniform in [0, thickest].
    One sees about 3 / beta metres far, so 0.06 is a fog of 50 m."""
    dimmest: float = Field(0.7, ge=0, le=1)
    """Smallest airlight; A, the light of the sky, is uniform in [dimmest, 1]."""
    near: float = Field(5.0, gt=0, le=10_000)
    """Distance in metres of what the lowest row shows."""
    far: float = Field(100.0, gt=0, le=100_000)
    """Distance in metres of what stands at the horizon and above it."""
    horizon: float = Field(0.3, ge=0, lt=1)
    """Where the horizon is: its distance from the upper edge, as a share of the picture's height."""
    noise: float = Field(0.02, ge=0, le=2)
    """Standard deviation of the camera's noise, for pictures in [-1, 1]."""
    airlight_known: bool = False
    """Whether a second instrument reports A, for instance from a patch of sky."""

    def facts(self) -> frozenset[str]:
        """Each pixel by itself, at random, and the same law for mirrored pictures; none is exact."""
        return frozenset({"random", "pixelwise", "flip"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The ground has to lead away from the camera."""
        if self.near > self.far:
            message = f"the lowest row, at {self.near} m, is farther than the horizon, at {self.far} m"
            yield Complaint("near", message, f"use at most {self.far}")


@hookimpl
def register_measurements() -> Iterable[Component]:
    """Fog."""
    yield Component("fog", FogOptions, _fog)


def _fog(options: FogOptions, _context: Context) -> Fog:
    from .sensor import Fog

    return Fog(
        thickest=options.thickest,
        dimmest=options.dimmest,
        near=options.near,
        far=options.far,
        horizon=options.horizon,
        noise=options.noise,
        airlight_known=options.airlight_known,
    )
