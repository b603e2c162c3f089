"""The same step as plain PyTorch, by somebody who knows how: what ambientkit's loop is held against.

The networks are the plugins', channels-last, under autocast at the same precision. Adam is fused, one `lerp`
makes the average, the holes of a batch are drawn at once, and the discriminator takes no gradient while the
generator learns. The generator runs twice a step, as in ambientkit: each player meets fakes of its own. Data
lie in memory in 8 bits, and losses become numbers for each 50th step's log only. Nothing is checked, resumed
or configured.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ambientkit import Context, Engine, Measured, View

from .pictures import smooth_pictures
from .setting import LOGGED_EVERY, Setting
from .turns import Turns

FILL = 1.0
RATE, BETAS, DECAY = 2e-4, (0.5, 0.999), 0.999


class Bare:
    """Both networks, their optimisers and the averaged generator."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.generator = _network("generator", "glcic", setting)
        self.discriminator = _network("discriminator", "dcgan", setting, spectral_norm=True)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self._optimizers = [_adam(self.discriminator), _adam(self.generator)]
        self.step_number = 0

    def step(self, y: Tensor, observed: Tensor, again: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """One update of each; `again` says what the fakes' sensor observes, for either update."""
        y = y.contiguous(memory_format=torch.channels_last)
        terms = self._descend(0, lambda: self._discriminator_terms(y, observed, again[0]))
        self.discriminator.requires_grad_(False)
        terms |= self._descend(1, lambda: self._generator_terms(y, observed, again[1]))
        self.discriminator.requires_grad_(True)
        self.step_number += 1
        self._move_average()
        return terms

    def _discriminator_terms(self, y: Tensor, observed: Tensor, again: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self._fake(y, observed, again)
        real = functional.softplus(-self._score(y, observed)).mean()
        return {
            "discriminator/real": real,
            "discriminator/fake": functional.softplus(self._score(fake, again)).mean(),
        }

    def _generator_terms(self, y: Tensor, observed: Tensor, again: Tensor) -> dict[str, Tensor]:
        fake = self._fake(y, observed, again)
        return {"generator/adversarial": functional.softplus(-self._score(fake, again)).mean()}

    def _fake(self, y: Tensor, observed: Tensor, again: Tensor) -> Tensor:
        made = self._run(self.generator, Measured(y, observed), None)
        return torch.where(again, torch.where(observed, y, made), FILL)

    def _score(self, y: Tensor, observed: Tensor) -> Tensor:
        return self._run(self.discriminator, View(y, observed))

    def _run(self, network: nn.Module, *inputs: object) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.setting.precision == "bf16"):
            output: Tensor = network(*inputs)
        return output.float()

    def _descend(self, player: int, make_terms: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        optimizer = self._optimizers[player]
        with parametrize.cached():  # spectral norm once an update
            terms = make_terms()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def _move_average(self) -> None:
        decay = min(DECAY, (1 + self.step_number) / (10 + self.step_number))
        pairs = zip(_state(self.average), _state(self.generator), strict=True)
        mine, theirs = zip(*pairs, strict=True)
        torch._foreach_lerp_(mine, theirs, 1 - decay)


def completing(setting: Setting, turns: Turns) -> None:
    """Train for ever on pictures that each lost a block once."""
    bare, log = Bare(setting), []
    pictures = smooth_pictures(setting.pictures, setting.size, setting.size)
    observed = observed_pixels(setting, setting.pictures)
    while True:
        chosen = torch.randint(len(pictures), (setting.batch,))
        y = torch.where(observed[chosen], pictures[chosen].float() / 127.5 - 1, FILL)
        again = observed_pixels(setting, setting.batch), observed_pixels(setting, setting.batch)
        terms = bare.step(y, observed[chosen], again)
        if bare.step_number % LOGGED_EVERY == 0:
            log.append({name: float(value) for name, value in terms.items()})
        turns.stepped()


def observed_pixels(setting: Setting, count: int) -> Tensor:
    """Bool (count, 1, size, size), False in a block at a random place, all drawn at once."""
    side = torch.arange(setting.size)
    start = torch.randint(setting.size - setting.hole + 1, (count, 2, 1))
    inside = (side >= start) & (side < start + setting.hole)
    return ~(inside[:, 0, :, None] & inside[:, 1, None, :]).unsqueeze(1)


def _network(category: str, kind: str, setting: Setting, **options: object) -> nn.Module:
    shape = (3, setting.size, setting.size)
    context = Context(image_size=shape[1:], image_shape=shape, measured_shape=shape)
    engine = Engine(discover=False)
    network: nn.Module = engine.build(category, kind, context=context, width=setting.width, **options)
    return network.to(memory_format=torch.channels_last)


def _adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, fused=True)


def _state(network: nn.Module) -> list[Tensor]:
    """All that is averaged; a counter of batches, which no layer with a momentum reads, is not."""
    values = [*network.parameters(), *network.buffers()]
    return [value for value in values if value.is_floating_point()]
