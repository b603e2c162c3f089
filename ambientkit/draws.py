"""All randomness of an update, as a function of (seed, step, update)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ambientkit.errors import PluginError
from ambientkit.interfaces import Generator, Measurement, Shape, Theta
from ambientkit.machine import Machine
from ambientkit.round_trip import Draws, Method
from ambientkit.streams import stream


@dataclass(frozen=True)
class Dice:
    """Draws for a whole batch of `n` at once, so they depend on no split of it over parts or processes."""

    method: Method
    machine: Machine
    generator: Generator
    further_probability: float
    n: int
    seed: int

    def __call__(self, *counters: int | str) -> Draws:
        """The draws of the update that `counters` name; each thing has a stream of its own."""
        further, chosen = self._further("further", counters)
        return Draws(
            theta_fresh=self._theta("theta", counters),
            theta_further=further,
            further_chosen=chosen,
            latent=self._latent(counters),
            latent_other=self._latent((*counters, "other")),
            latent_first=self._latent((*counters, "first")),
            region=self._region(counters),
        )

    def _latent(self, counters: Sequence[int | str]) -> Tensor | None:
        shape = self.method.image_shape
        return draw_latent(self.generator, shape, self.n, self.seed, counters, self.machine)

    def _theta(self, name: str, counters: Sequence[int | str]) -> Theta:
        return drawn(self.method.sensor, self.n, self.method.image_shape, self._stream(name, *counters))

    def _stream(self, name: str, *counters: int | str) -> torch.Generator:
        """On the machine itself: nothing is drawn on a CPU and copied."""
        return stream(self.seed, name, *counters, device=self.machine.device)

    def _further(self, name: str, counters: Sequence[int | str]) -> tuple[Theta, Tensor] | tuple[None, None]:
        """Theta of the further measurement, and which pictures get it."""
        if self.method.further is None:
            return None, None
        generator = self._stream(name, *counters)
        theta = drawn(self.method.further, self.n, self.method.image_shape, generator)
        dice = self._stream(f"{name} chosen", *counters)
        chance = torch.rand(self.n, generator=dice, device=dice.device)
        return theta, chance < self.further_probability

    def _region(self, counters: Sequence[int | str]) -> Tensor | None:
        """Holes for the reals, of the law that the fakes' holes have, and independent of the reals' own."""
        shape = self.method.image_shape
        seen = self.method.sensor.observed(self._theta("region", counters), shape)
        theta, chosen = self._further("region further", counters)
        if self.method.further is not None and theta is not None and chosen is not None and seen is not None:
            further = self.method.further.observed(theta, shape)
            before = torch.ones_like(seen) if self.method.completed_first else seen
            seen = torch.where(
                chosen.view(-1, 1, 1, 1), before if further is None else before & further, seen
            )
        return None if seen is None else ~seen.all(1, keepdim=True)


def drawn(sensor: Measurement, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    """Theta of n pictures. Raises PluginError where it is not one of each: all would share a draw."""
    theta = sensor.sample(n, shape, generator)
    for name, value in theta.items():
        if value.dim() == 0 or len(value) != n:
            raise PluginError(
                f"the sensor {type(sensor).__name__}: sample({n}, ...) drew {name!r} of shape "
                f"{tuple(value.shape)}; the first axis must be {n}, a draw for each picture"
            )
    return theta


def draw_latent(
    generator: Generator, shape: Shape, n: int, seed: int, counters: Sequence[int | str], machine: Machine
) -> Tensor | None:
    """Standard normal latents for n images of `shape`; None where the generator takes none."""
    latent_shape = generator.latent_shape(shape)
    if latent_shape is None:
        return None
    dice = stream(seed, "latent", *counters, device=machine.device)
    return torch.randn(n, *latent_shape, generator=dice, device=machine.device)
