"""Where a run is on its way: who trains, and at what rates.

All is a function of the step, so a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

from ambientkit.optim import set_rate
from ambientkit.recipe_train import Adam, Optimizer, TrainSection


@dataclass(frozen=True)
class Pace:
    """The rates of a run of `total` steps; steps are counted from 0."""

    train: TrainSection
    total: int

    def trains(self, player: str, step: int) -> bool:
        """Whether `player` ("generator" or "discriminator") is updated in a step."""
        return self._players(step) in (player, "both")

    def plays(self, step: int) -> bool:
        """Whether the generator learns from the game: not before the discriminator takes part in it."""
        return self._players(step) == "both"

    def empty_phases(self) -> Iterator[tuple[int, str]]:
        """Number and players of the phases whose share is less than a step."""
        ends = self._ends()
        for number, (begin, end) in enumerate(pairwise([0, *ends])):
            if begin == end:
                yield number, self.train.phases[number].players

    def _ends(self) -> list[int]:
        """The first step after each phase."""
        return [round(end * self.total) for end in accumulate(phase.share for phase in self.train.phases)]

    def _players(self, step: int) -> str:
        for phase, end in zip(self.train.phases, self._ends(), strict=True):
            if step < end:
                return phase.players
        return self.train.phases[-1].players if self.train.phases else "both"

    def penalty(self, step: int, number: int, every: int) -> float:
        """Factor of the gradient penalties in update `number` of a step; 0: they are not taken.

        Taken each `every` updates they weigh `every` times as much, so that their mean strength stays
        (Karras et al. 2020, app. B).
        """
        if (step * self.train.discriminator_updates + number) % every:
            return 0.0
        ramp = self.train.schedules.penalty
        return every * (1.0 if ramp is None else ramp.at(self._share(step)))

    def ema_decay(self, step: int) -> float | None:
        """Decay of the averaged generator; None: there is none."""
        ramp = self.train.schedules.ema
        return self.train.ema_decay if ramp is None else ramp.at(self._share(step))

    def set_rates(self, optimizer: torch.optim.Optimizer, section: Optimizer, step: int) -> None:
        """Give an optimiser the learning rate and beta2 of a step; `section` is the recipe's."""
        rates, share = self.train.schedules, self._share(step)
        for group in optimizer.param_groups:
            if rates.learning_rate is not None:
                set_rate(group, section.lr * rates.learning_rate.at(share))
            if rates.beta2 is not None and isinstance(section, Adam):
                group["betas"] = (section.betas[0], rates.beta2.at(share))

    def _share(self, step: int) -> float:
        return step / self.total
