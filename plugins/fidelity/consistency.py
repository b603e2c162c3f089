"""Restoring a measurement that was just made gives what was measured (UAIR)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ambientkit import Fidelity, Measured, RoundTrip
from ambientkit.interfaces import Restore, Terms, Theta


class MeasurementConsistency(Fidelity):
    """mean over y^ of (F(G(y^), theta') - y^)^2, y^ = F(x^, theta') (Pajot et al. 2019, sec. 3).

    The same theta' measures both times, so noise and holes are alike on both sides and what differs is the
    picture. y^ is the generator's own, and both applications of it learn. For a real y theta is not known
    any more, and the term could not be taken.

    Where observed pixels are composited on an exact sensor, the term is always 0.
    """

    def terms(
        self,
        trip: RoundTrip,
        restore: Restore,
        measure: Callable[[Tensor, Theta], Tensor],
    ) -> Terms:
        """{"measurement_consistency"}, 0-d, in the units of y squared."""
        again = restore(Measured(trip.y_fake, trip.observed_fake, trip.known_fake))
        difference = measure(again, trip.theta_fresh).float() - trip.y_fake.float()
        return {"measurement_consistency": difference.square().mean()}
