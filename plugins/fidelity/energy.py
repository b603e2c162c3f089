"""Learning the law of what is hidden, and not its mean alone, from pixels held out of the measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Fidelity, Measured, RoundTrip, shared_count
from ambientkit.errors import PluginError
from ambientkit.interfaces import Restore, Terms, Theta

from .held_out import held_out_places


class HeldOutEnergy(Fidelity):
    """Mean over T of (|a - y| + |b - y|) / 2 - |a - b| / 2, where a and b are made from two latents.

    T = observed & ~observed~, as for `held_out`. It is the continuous ranked probability score in its
    energy form (Gneiting and Raftery 2007, eq. 21), estimated with two samples: least, on average,
    for fills that have the law of what was hidden. A network that ignores its latent pays |a - y| in
    full, as under `held_out`. Scores of single pixels say nothing of how these go together, so the
    score is taken of means over 2x2, 4x4, ... pixels in T as well, `scales` sizes in all.
    """

    def __init__(self, scales: int = 3) -> None:
        self.scales = scales

    def terms(
        self,
        trip: RoundTrip,
        restore: Restore,
        measure: Callable[[Tensor, Theta], Tensor],
    ) -> Terms:
        """{"held_out_energy"}, 0-d, in the scale of [-1, 1]. Raises PluginError without masks or a latent."""
        target = held_out_places(trip, "held_out_energy")
        if trip.latent_other is None:
            raise PluginError("held_out_energy: the generator takes no latent; give it latent_channels")
        other = restore(Measured(trip.y_further, trip.observed_further, trip.known), trip.latent_other)
        parts = [torch.where(target, each.float(), 0.0) for each in (trip.made, other, trip.y)]
        scores = [_score(*maps) for maps in _coarser(parts, target, self.scales)]
        return {"held_out_energy": torch.stack(scores).mean()}


def _coarser(
    parts: list[Tensor], target: Tensor, scales: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """(a, b, y, weight) of pixels, then of the means over ever larger squares of what they have in T."""
    weight = target.to(parts[0].dtype)
    for side in (2**scale for scale in range(scales)):
        if min(weight.shape[-2:]) < side:
            return
        share = functional.avg_pool2d(weight, side)
        a, b, y = (functional.avg_pool2d(part, side) / share.clamp(min=side**-2) for part in parts)
        yield a, b, y, share


def _score(a: Tensor, b: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    score = ((a - y).abs() + (b - y).abs() - (a - b).abs()) / 2
    return (weight * score).sum() / shared_count(weight.sum(), least=torch.finfo(weight.dtype).tiny)
