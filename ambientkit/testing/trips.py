"""Round trips of a toy generator, on which fidelities are tested."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ambientkit.interfaces import Judged, Measured, RoundTrip, Theta, View
from ambientkit.testing.measurement_case import described
from ambientkit.testing.networks import some_observed, uniform

SIDE = 8
FILL = 0.0
Kind = Literal["plain", "none held out", "none observed", "poisoned", "twice", "tiled", "unsaid"]


class ToyGenerator(nn.Module):
    """tanh of a weight times what is observed, its mean and the place: something to learn, and cheap."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.7))

    def forward(self, measured: Measured, latent: Tensor | None = None) -> Tensor:
        """(n, C, H, W) in [-1, 1]; hidden pixels of y are not looked at. A latent moves it a little."""
        y = measured.y if measured.observed is None else torch.where(measured.observed, measured.y, FILL)
        mean = y.flatten(1).mean(1).view(-1, 1, 1, 1)
        place = torch.linspace(-1, 1, y.shape[-1], device=y.device)
        moved = 0.0 if latent is None else 0.2 * latent
        return torch.tanh(self.weight * (y + mean + place + moved))


@dataclass
class Trip:
    """A round trip, with `restore` and `measure` as a fidelity gets them, and what each call was wrong in."""

    record: RoundTrip
    network: ToyGenerator
    latent: Tensor
    calls: list[str] = field(default_factory=list)

    def restore(self, measured: Measured, latent: Tensor | None = None) -> Tensor:
        """Complete another measurement; "" or a complaint is added to `calls`."""
        y: Any = getattr(measured, "y", measured)
        fine = isinstance(measured, Measured) and y.shape[1:] == self.record.y.shape[1:]
        self.calls.append(
            "" if fine else f"restore was given {described(measured)}, not a Measured like the trip's"
        )
        latent = self._latent_for(y) if latent is None else latent
        return self.network(measured if isinstance(measured, Measured) else Measured(y), latent)  # type: ignore[no-any-return]

    def _latent_for(self, y: Tensor) -> Tensor | None:
        """That of the update, where it is as large as y."""
        return self.latent if self.latent.shape[-2:] == y.shape[-2:] and len(self.latent) == len(y) else None

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """Hide theta's block; "" or a complaint is added to `calls`."""
        fine = images.shape[1:] == self.record.made.shape[1:] and images.is_floating_point()
        self.calls.append(
            "" if fine else f"measure was given {described(images)}, not pictures like the trip's"
        )
        hidden = theta.get("hidden") if isinstance(theta, dict) else None
        if hidden is None or len(hidden) != len(images):
            self.calls.append("measure was given something that is no theta for these pictures")
            return images
        return images.masked_fill(hidden, FILL)


def make_trip(n: int, network: ToyGenerator | None = None, kind: Kind = "plain") -> Trip:
    """A round trip of `n` grey pictures with a hidden block, and another that is held out."""
    network = network or ToyGenerator()
    theta = {"hidden": _shaped(~some_observed(n, SIDE, SIDE).flip(2), kind)}
    real, seen = _measured(n, kind)
    latent, other = (_shaped(uniform(n, (1, SIDE, SIDE), name), kind) for name in ("latent", "other"))
    made = network(seen, latent)
    completed = made if seen.observed is None else torch.where(seen.observed, seen.y, made)
    record = RoundTrip(
        y=real.y,
        observed=real.observed,
        y_further=seen.y,
        observed_further=seen.observed,
        made=made,
        completed=completed,
        theta_fresh=theta,
        y_fake=completed.masked_fill(theta["hidden"], FILL),
        observed_fake=None if kind == "unsaid" else ~theta["hidden"],
        latent_other=other,
    )
    judged = Judged(View(record.y, record.observed), View(record.y_fake, record.observed_fake), _features)
    return Trip(replace(record, judged=judged), network, latent)


def _features(view: View) -> list[Tensor]:
    """Maps of a discriminator that looks at edges: what is observed of y, and its differences."""
    y = view.y if view.observed is None else torch.where(view.observed, view.y, FILL)
    return [y, y - y.roll(1, -1)]


def _measured(n: int, kind: Kind) -> tuple[Measured, Measured]:
    """(y, observed) and (y~, observed~) of a kind."""
    pictures = _shaped(uniform(n, (1, SIDE, SIDE), "trip"), kind)
    observed = _shaped(some_observed(n, SIDE, SIDE), kind)
    if kind == "none observed":
        observed = torch.zeros_like(observed)
    further = _shaped(some_observed(n, SIDE, SIDE).flip(3), kind)
    observed_further = observed if kind == "none held out" else observed & further
    y = torch.where(observed, pictures, torch.nan if kind == "poisoned" else FILL)
    y_further = torch.where(observed_further, pictures, FILL)
    if kind == "unsaid":
        return Measured(y), Measured(y_further)
    return Measured(y, observed), Measured(y_further, observed_further)


def _shaped(tensor: Tensor, kind: Kind) -> Tensor:
    """Twice the batch, or pictures laid out two by two."""
    if kind == "twice":
        return torch.cat([tensor, tensor])
    return tensor.repeat(1, 1, 2, 2) if kind == "tiled" else tensor
