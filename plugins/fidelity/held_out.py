"""Learning to complete from pixels that were measured, but not shown to the generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ambientkit import Fidelity, RoundTrip, shared_count
from ambientkit.errors import PluginError
from ambientkit.interfaces import Restore, Terms, Theta

TIP = 1e-3  # of the Charbonnier cost: where it turns from |d| to d^2, an eighth of a grey level of 255

COSTS: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": torch.abs,
    "l2": torch.square,
    "charbonnier": lambda difference: (difference.square() + TIP**2).sqrt(),
}


class HeldOut(Fidelity):
    """sum over T of cost(made - y), over |T|; with T = observed & ~observed~, counted over channels.

    T is known in y and hidden from the generator. The batch is averaged as a whole, so a picture
    weighs as much as it has pixels in T; where T is empty the term is 0. The idea is that of
    Noise2Self (Batson and Royer 2019, eq. 2) and of Ambient Diffusion (Daras et al. 2023, eq. 4).
    """

    def __init__(self, norm: str = "l1") -> None:
        self.cost = COSTS[norm]

    def terms(
        self,
        trip: RoundTrip,
        restore: Restore,
        measure: Callable[[Tensor, Theta], Tensor],
    ) -> Terms:
        """{"held_out"}, 0-d, in the scale of [-1, 1]. Raises PluginError where `observed` is missing."""
        target = held_out_places(trip, "held_out")
        made, y = trip.made.float(), trip.y.float()
        # Selected before and after the cost: nothing outside T, be it NaN, has a value or a gradient.
        difference = torch.where(target, made - y, 0.0)
        costs = torch.where(target, self.cost(difference), 0.0)
        return {"held_out": costs.sum() / shared_count(target.sum())}


def held_out_places(trip: RoundTrip, name: str) -> Tensor:
    """T = observed & ~observed~, bool (n, C, H, W). Raises PluginError where `observed` is missing."""
    if trip.observed is None or trip.observed_further is None:
        raise PluginError(f"{name}: the sensors must say what they observe; use a sensor that hides pixels")
    return (trip.observed & ~trip.observed_further).expand_as(trip.made)
