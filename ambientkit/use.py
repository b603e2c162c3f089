"""The generator of a run in progress as it is used."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from ambientkit.draws import Dice
from ambientkit.interfaces import Measured
from ambientkit.optim import AveragedNetwork, batch_norms, reestimate_batch_norm
from ambientkit.round_trip import Draws, hide_more
from ambientkit.updates import Game

REESTIMATION_BATCHES = 32


@dataclass(frozen=True)
class Use:
    """Averaged, in evaluation mode, batch norm re-estimated on what the network meets in use.

    With a further measurement a network trains on inputs with more hidden than that. `batches` are those of
    the run, whole; `elsewhere`: what is evaluated is measured by another sensor than the training set.
    """

    game: Game
    dice: Dice
    batches: Callable[[int], Measured]
    per_epoch: int
    elsewhere: bool

    @property
    def reestimates(self) -> bool:
        """Whether statistics of batch norms have to be taken anew."""
        return self.game.method.further is not None and bool(batch_norms(self.game.generator.network))

    def network(self, average: AveragedNetwork | None) -> nn.Module:
        """The network as it is now; a copy, unless it is the averaged one itself."""
        if average and not self.reestimates:
            return average.network
        network = copy.deepcopy(average.network if average else self.game.generator.network).eval()
        if self.reestimates:
            reestimate_batch_norm(network, self._forwards(network))
        return network

    def _forwards(self, network: nn.Module) -> Iterator[Tensor]:
        """`network` on whole batches: the first process does this alone, and must see what one would."""
        machine, filler = self.game.machine, copy.deepcopy(network)  # whose own statistics matter to nobody
        for counter in range(min(REESTIMATION_BATCHES, self.per_epoch)):
            draws = self.dice("re-estimation", counter)
            measured = self._as_used(machine.send(self.batches(counter)), draws, filler)
            yield machine.run(network, measured, draws.latent)

    def _as_used(self, measured: Measured, draws: Draws, filler: nn.Module) -> Measured:
        """What the generator meets in use: measurements; where others are evaluated, all with more hidden."""
        if not self.elsewhere or draws.further_chosen is None:
            return measured
        everywhere = replace(draws, further_chosen=torch.ones_like(draws.further_chosen))
        return hide_more(self.game.method, partial(self.game.machine.run, filler), measured, everywhere)
