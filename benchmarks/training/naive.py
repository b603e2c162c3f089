"""The same step in the manner of public GLCIC repositories: correct, and written without a thought for time.

What is slow, and usual:

- float32 throughout, and NCHW layout;
- a `DataLoader` without workers over a data set that hands out one picture at a time, as float;
- the masks of a batch are made in a Python loop, picture by picture;
- every loss is read with `.item()` in every step;
- Adam with its defaults of old, a Python loop over the weights (`foreach=False`);
- ReLUs that are not in place;
- spectral norm is taken anew for the reals and for the fakes of one update;
- the discriminator's weights take gradients that nobody uses while the generator learns;
- the generator runs once for either update (as in ambientkit's loop).

What is left out to its advantage: it keeps no average of the generator, and decodes no file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from .naive_networks import CompletionNetwork, JudgingNetwork
from .pictures import smooth_pictures
from .setting import Setting
from .turns import Turns

FILL = 1.0


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """One measured picture and its mask at a time."""

    def __init__(self, setting: Setting) -> None:
        self._pictures = smooth_pictures(setting.pictures, setting.size, setting.size)
        self._masks = random_masks(setting, setting.pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture, mask = self._pictures[index].float() / 127.5 - 1, self._masks[index]
        return hidden(picture, mask), mask


class Naive:
    """Both networks and their optimisers."""

    def __init__(self, setting: Setting) -> None:
        self.generator = CompletionNetwork(setting.width)
        self.discriminator = JudgingNetwork(setting.width, setting.size)
        self._generator_optimizer = _adam(self.generator)
        self._discriminator_optimizer = _adam(self.discriminator)

    def step(self, y: Tensor, mask: Tensor, again: tuple[Tensor, Tensor]) -> dict[str, float]:
        """One update of each; masks are 1 where pixels are hidden, `again` those of the fakes."""
        return self._judge(y, mask, again[0]) | self._complete(y, mask, again[1])

    def _judge(self, y: Tensor, mask: Tensor, again: Tensor) -> dict[str, float]:
        """The discriminator's update."""
        fake = self._fake(y, mask, again).detach()
        real_loss = functional.softplus(-self.discriminator(y, 1 - mask)).mean()
        fake_loss = functional.softplus(self.discriminator(fake, 1 - again)).mean()
        self._discriminator_optimizer.zero_grad()
        (real_loss + fake_loss).backward()  # type: ignore[no-untyped-call]
        self._discriminator_optimizer.step()
        return {"discriminator/real": real_loss.item(), "discriminator/fake": fake_loss.item()}

    def _complete(self, y: Tensor, mask: Tensor, again: Tensor) -> dict[str, float]:
        """The generator's update."""
        fake = self._fake(y, mask, again)
        loss = functional.softplus(-self.discriminator(fake, 1 - again)).mean()
        self._generator_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._generator_optimizer.step()
        return {"generator/adversarial": loss.item()}

    def _fake(self, y: Tensor, mask: Tensor, again: Tensor) -> Tensor:
        made = self.generator(y, mask)
        return hidden(y * (1 - mask) + made * mask, again)


def completing(setting: Setting, turns: Turns) -> None:
    """Train for ever."""
    naive, random_state = Naive(setting), Pictures(setting)
    for y, mask in _batches(random_state, setting.batch):
        again = random_masks(setting, len(y)), random_masks(setting, len(y))
        naive.step(y, mask, again)
        turns.stepped()


def _batches(pictures: Pictures, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    loader = DataLoader(pictures, batch, shuffle=True, drop_last=True, num_workers=0)
    while True:
        yield from loader


def random_masks(setting: Setting, count: int) -> Tensor:
    """Float (count, 1, size, size), 1 in a block at a random place."""
    masks = torch.zeros(count, 1, setting.size, setting.size)
    for number in range(count):
        top = random.randint(0, setting.size - setting.hole)
        left = random.randint(0, setting.size - setting.hole)
        masks[number, :, top : top + setting.hole, left : left + setting.hole] = 1
    return masks


def hidden(picture: Tensor, mask: Tensor) -> Tensor:
    """The picture with its masked pixels filled."""
    return picture - picture * mask + FILL * mask


def _adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), foreach=False)
