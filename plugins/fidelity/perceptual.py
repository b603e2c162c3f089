"""Held-out pixels compared as a network sees them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ambientkit import Fidelity, RoundTrip
from ambientkit.interfaces import Restore, Terms, Theta

from ..feature_networks import FeatureNetwork, unit_length
from .held_out import held_out_places


class HeldOutPerceptual(Fidelity):
    """Squared distance of inner maps, channels of unit length (LPIPS, eq. 1, all weights 1).

    Compared are two pictures that differ in T = observed & ~observed~ alone: what was made there, and
    what was measured. Around it both are what the completed picture has, so an inner map that looks
    beyond T sees a whole picture.
    """

    def __init__(self, features: FeatureNetwork) -> None:
        self.features = features

    def terms(
        self,
        trip: RoundTrip,
        restore: Restore,
        measure: Callable[[Tensor, Theta], Tensor],
    ) -> Terms:
        """{"held_out"}, 0-d. Raises PluginError where `observed` is missing."""
        target = held_out_places(trip, "held_out")
        around = trip.completed.detach().float()
        made = torch.where(target, trip.made.float(), around)
        wanted = torch.where(target, trip.y.float(), around)
        with torch.no_grad():
            right = unit_length(self.features.maps(wanted))
        layers = zip(unit_length(self.features.maps(made)), right, strict=True)
        return {"held_out": torch.stack([(a - b).square().sum(1).mean() for a, b in layers]).mean()}
