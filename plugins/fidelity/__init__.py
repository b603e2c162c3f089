"""Terms that tie the generator to what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Component, Context, Fidelity, Options, hookimpl

if TYPE_CHECKING:
    from .consistency import MeasurementConsistency
    from .energy import HeldOutEnergy
    from .matching import FeatureMatching

AMBIENTKIT_HOOK_API = 1


class HeldOutOptions(Options):
    """What the further measurement hid, but the sensor had seen, is to be made again.

    It needs `further`, with the law of the data's own sensor: every hole must have a chance to be
    one whose content is known.
    """

    norm: Literal["l1", "l2", "charbonnier", "perceptual"] = "l1"
    """Cost of a difference d: |d|, d^2, or sqrt(d^2 + 0.001^2), which is |d| with a rounded tip; or the
    distance of the two pictures in the inner maps of EfficientNet-Lite0 (needs `ambientkit[features]`)."""

    def facts(self) -> frozenset[str]:
        """It needs a further, exact measurement that says what it hides, and a generator that completes."""
        return frozenset({"needs_observed", "needs_further", "needs_exact", "needs_completion"})


class HeldOutEnergyOptions(Options):
    """Held-out pixels for a generator with a latent: fills that differ as much as they are uncertain.

    It needs `further`, with the law of the data's own sensor, and makes each picture twice.
    """

    scales: int = Field(3, ge=1, le=6)
    """Pixels are compared, then means over 2x2, 4x4, ... of them: so many sizes in all."""

    def facts(self) -> frozenset[str]:
        """What `held_out` needs, and a generator with a latent."""
        return frozenset(
            {"needs_observed", "needs_further", "needs_exact", "needs_completion", "needs_latent"}
        )


class FeatureMatchingOptions(Options):
    """Fakes give the discriminator's inner layers the averages of reals (Salimans et al. 2016)."""

    def facts(self) -> frozenset[str]:
        """It needs a discriminator that offers features."""
        return frozenset({"needs_features"})


class MeasurementConsistencyOptions(Options):
    """A fake measurement, restored and measured again alike, gives itself (UAIR, Pajot et al. 2019)."""

    def facts(self) -> frozenset[str]:
        """It needs a generator that completes, whose observed pixels are not simply kept."""
        return frozenset({"needs_completion", "vanishes_composited"})


@hookimpl
def register_fidelities() -> Iterable[Component]:
    """Held-out pixels, features, and consistency of measurements."""
    yield Component("feature_matching", FeatureMatchingOptions, _matching)
    yield Component("held_out", HeldOutOptions, _held_out)
    yield Component("held_out_energy", HeldOutEnergyOptions, _energy)
    yield Component("measurement_consistency", MeasurementConsistencyOptions, _consistency)


def _held_out(options: HeldOutOptions, context: Context) -> Fidelity:
    if options.norm == "perceptual":
        from ..feature_networks import load_features, require_colours
        from .perceptual import HeldOutPerceptual

        require_colours(context.image_shape or (3, 1, 1))
        return HeldOutPerceptual(load_features("efficientnet_lite0"))
    from .held_out import HeldOut

    return HeldOut(options.norm)


def _energy(options: HeldOutEnergyOptions, _context: Context) -> HeldOutEnergy:
    from .energy import HeldOutEnergy

    return HeldOutEnergy(options.scales)


def _matching(_options: FeatureMatchingOptions, _context: Context) -> FeatureMatching:
    from .matching import FeatureMatching

    return FeatureMatching()


def _consistency(_options: MeasurementConsistencyOptions, _context: Context) -> MeasurementConsistency:
    from .consistency import MeasurementConsistency

    return MeasurementConsistency()
