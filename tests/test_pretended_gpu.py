"""Whole updates on a GPU that is not there: tensors without values, whose devices torch compares."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from test_recording import GAMES, game, smallest
from torch import nn

from ambientkit.finite import FiniteWatch
from ambientkit.machine import Machine
from ambientkit.optim import AveragedNetwork
from ambientkit.testing.pretended import MIXED, pretended_gpu
from ambientkit.testing.watching import mapped
from ambientkit.updates import discriminator_update, generator_update, shared_update

PLAYERS = (("discriminator", 0), ("generator", 1))


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch):
    """Torch's knows no such device; precision is looked at on the CPU."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())


def moved(network, to_gpu):
    """Its weights and buffers are there afterwards."""
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, value in held.items():
                if value is not None:
                    there = to_gpu(value)
                    held[name] = nn.Parameter(there) if isinstance(value, nn.Parameter) else there


def given(trainer):
    """A batch, and the draws of both players."""
    return trainer._batch(0), *(trainer._draws(*player, 0) for player in PLAYERS)


def send(whole, to_gpu):
    """The game is played there from now on."""
    whole.machine = Machine(torch.device("meta"), bf16=False)
    whole.watch = FiniteWatch(deferred=True)
    for player in (whole.generator, whole.discriminator):
        moved(player.network, to_gpu)
        player.optimizer = torch.optim.SGD(player.network.parameters(), lr=0.1)


def states(player):
    return player.network.state_dict().values()


@pytest.mark.parametrize("name", GAMES)
def test_every_tensor_of_an_update_is_where_the_networks_are(ready, name):
    trainer = ready(game(**GAMES[name])).trainer
    whole, average = trainer.game, AveragedNetwork(trainer.game.generator.network, 0.9)
    here = given(trainer)
    with pretended_gpu(gradients=True) as to_gpu:
        send(whole, to_gpu)
        real, *draws = mapped(here, to_gpu)
        moved(average.network, to_gpu)
        for update, its in zip((discriminator_update, generator_update), draws, strict=True):
            terms = update(whole, real, its)
            assert terms and {value.device.type for value in terms.values()} == {"meta"}
        if whole.accumulate == 1:
            shared_update(whole, real, draws[1])
        average.update(whole.generator.network, 1)
    held = [*states(whole.generator), *states(whole.discriminator), *average.network.state_dict().values()]
    assert {value.device.type for value in held} == {"meta"}


class Absentminded(nn.Module):
    """A network that keeps a tensor on the CPU."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.gain = torch.ones(1)

    def forward(self, *inputs):
        return self.network(*inputs) * self.gain


def test_a_tensor_that_stayed_behind_is_found(ready):
    trainer = ready(smallest()).trainer
    trainer.game.generator.network = Absentminded(trainer.game.generator.network)
    here = given(trainer)
    with pretended_gpu(gradients=True) as to_gpu:
        send(trainer.game, to_gpu)
        real, _, draws = mapped(here, to_gpu)
        with pytest.raises(RuntimeError, match=MIXED):
            generator_update(trainer.game, real, draws)
