"""Fakes are, on average, to the discriminator's inner layers what reals are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ambientkit import Fidelity, RoundTrip, shared_mean
from ambientkit.errors import PluginError
from ambientkit.interfaces import Restore, Terms, Theta


class FeatureMatching(Fidelity):
    """Mean over layers and channels of |mean f(y) - mean f(y^)| (Salimans et al. 2016, sec. 3.1).

    f are the discriminator's features, averaged over the batch and all places: y and y^ are not of one
    picture, and do not hide the same places. The paper squares the difference; its absolute value
    does not leave everything to the channel with the largest scale.
    """

    def terms(
        self,
        trip: RoundTrip,
        restore: Restore,
        measure: Callable[[Tensor, Theta], Tensor],
    ) -> Terms:
        """{"feature_matching"}, 0-d, in the units of the features.

        Raises PluginError where the discriminator offers none.
        """
        if trip.judged is None:
            raise PluginError("feature_matching: there is no discriminator that offers features; use dcgan")
        with torch.no_grad():
            real = [_mean(each) for each in trip.judged.features(trip.judged.real)]
        fake = [_mean(each) for each in trip.judged.features(trip.judged.fake)]
        distances = [(one - other).abs().mean() for one, other in zip(real, fake, strict=True)]
        return {"feature_matching": torch.stack(distances).mean()}


def _mean(features: Tensor) -> Tensor:
    """(channels,): mean over the batch, of all processes, and all places."""
    return shared_mean(features.flatten(2).mean((0, 2)) if features.dim() > 2 else features.mean(0))
