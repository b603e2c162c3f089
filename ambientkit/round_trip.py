"""The method, on one screen.

No logs, no devices, no files and no random draws: everything random arrives in `Draws`.

    y, observed ──(hide more)──> y~, observed~ ──generator──> made ──composite──> x^ ──theta'──> y^

The discriminator compares y with y^ = F(x^, theta') (AmbientGAN, eq. 1; UAIR, eq. 5). Since theta'
is independent of what was hidden in y, the pixels that the generator made are seen, and judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ambientkit.interfaces import Measured, Measurement, RoundTrip, Shape, Theta, View

Network = Callable[[Measured | None, Tensor | None], Tensor]


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """All randomness of one update, for a batch of n, and the clean pictures drawn for it, if any."""

    theta_fresh: Theta  # theta', independent of the data's
    theta_further: Theta | None = None  # what to hide besides
    further_chosen: Tensor | None = None  # bool (n,): which pictures get the further measurement
    latent: Tensor | None = None
    latent_other: Tensor | None = None  # a second one, for fidelities that compare two completions
    latent_first: Tensor | None = None  # a third, for what is completed before more is hidden
    region: Tensor | None = None  # bool (n, 1, H, W): where to look closely at a real
    reference: Tensor | None = None  # clean pictures of another set, where those are the reals


@dataclass(frozen=True, eq=False, slots=True)
class Method:
    """What a recipe makes of the method: the sensor, a further one, and whether to composite."""

    sensor: Measurement
    further: Measurement | None
    composite: bool
    image_shape: Shape
    completed_first: bool = False  # whether the further measurement is one of what was completed


def hide_more(method: Method, network: Network, real: Measured, draws: Draws) -> Measured:
    """(y~, observed~): hide more of the chosen pictures, so that something hidden is known.

    With `completed_first` y's own holes are filled before, by the generator as it is: what it then meets
    has one hole of the sensor's law, as in use, and not two. The latent is another than that of `made`,
    which would tell by it which of two completions is the one that counts.
    """
    if method.further is None or draws.theta_further is None or draws.further_chosen is None:
        return real
    chosen = draws.further_chosen.view(-1, 1, 1, 1)
    whole = _completed_first(network, real, draws) if method.completed_first else real
    y = torch.where(chosen, method.further.measure(whole.y, draws.theta_further), real.y)
    seen = method.further.observed(draws.theta_further, method.image_shape)
    if real.observed is None or whole.observed is None or seen is None:
        return Measured(y, real.observed, real.known)
    return Measured(y, torch.where(chosen, whole.observed & seen, real.observed), real.known)


@torch.no_grad()
def _completed_first(network: Network, real: Measured, draws: Draws) -> Measured:
    """x^ of y itself, all of which counts as observed from here on."""
    if real.observed is None:
        return real
    completed = torch.where(real.observed, real.y, network(real, draws.latent_first))
    return Measured(completed, torch.ones_like(real.observed), real.known)


def composited(method: Method, made: Tensor, seen: Measured) -> Tensor:
    """x^ = m~ * y~ + (1 - m~) * made: what was seen is kept bit for bit (GLCIC, sec. 3.2)."""
    if not method.composite or seen.observed is None:
        return made
    return torch.where(seen.observed, seen.y, made)


def round_trip(method: Method, network: Network, real: Measured, draws: Draws) -> RoundTrip:
    """Carry a batch of measurements through the generator and back through the sensor."""
    seen = hide_more(method, network, real, draws)
    made = network(seen, draws.latent)
    completed = composited(method, made, seen)
    return RoundTrip(
        y=real.y,
        observed=real.observed,
        y_further=seen.y,
        observed_further=seen.observed,
        made=made,
        completed=completed,
        theta_fresh=draws.theta_fresh,
        y_fake=method.sensor.measure(completed, draws.theta_fresh),
        observed_fake=method.sensor.observed(draws.theta_fresh, method.image_shape),
        known_fake=method.sensor.known(draws.theta_fresh),
        known=real.known,
    )


def views(real: Measured, trip: RoundTrip, draws: Draws) -> tuple[View, View]:
    """The two sides of the comparison: y and y^, never x^ itself, unless clean pictures are the reals."""
    made_there = None if trip.observed_further is None else ~trip.observed_further.all(1, keepdim=True)
    if draws.reference is not None:
        return View(draws.reference, region=draws.region), View(trip.completed, region=made_there)
    return (
        View(real.y, real.observed, real.known, draws.region),
        View(trip.y_fake, trip.observed_fake, trip.known_fake, made_there),
    )
