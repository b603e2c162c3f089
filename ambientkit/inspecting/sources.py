"""Where masks come from: draws of a sensor, or the data themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ambientkit.data import CHUNK
from ambientkit.inspecting.masks import Masks
from ambientkit.interfaces import Dataset, Measurement, Shape
from ambientkit.streams import stream

BATCHES = 6  # of draws, to find pixels that are never seen together and to try them


class MaskSource(Protocol):
    """Draws of `observed`, the same ones each time they are asked for."""

    @property
    def n(self) -> int:
        """How many draws there are."""
        ...

    @property
    def among(self) -> str:
        """What the draws are, with their number."""
        ...

    def chunks(self) -> Iterator[Tensor]:
        """Bool (n, c, H, W) at a time, on the CPU; none where nothing is said of what was observed."""
        ...

    def batches(self, masks: Masks) -> Iterator[Tensor]:
        """Independent batches of `Masks.kept`."""
        ...


@dataclass(frozen=True)
class Drawn:
    """`n` masks of a sensor for pictures of `shape`, from the stream `name` of `seed`."""

    sensor: Measurement
    shape: Shape
    n: int
    seed: int
    name: str

    @property
    def among(self) -> str:
        """Draws of theta."""
        return f"{self.n} draws"

    def chunks(self, batch: int = 0) -> Iterator[Tensor]:
        """CHUNK draws at a time; those of another batch are independent."""
        for number, start in enumerate(range(0, self.n, CHUNK)):
            count = min(CHUNK, self.n - start)
            theta = self.sensor.sample(count, self.shape, stream(self.seed, self.name, batch, number))
            observed = self.sensor.observed(theta, self.shape)
            if observed is None:
                return
            yield observed.cpu()

    def batches(self, masks: Masks) -> Iterator[Tensor]:
        """The draws at hand, then fresh ones."""
        yield masks.kept
        for batch in range(1, BATCHES):
            yield torch.cat([chunk.flatten(1)[:, masks.sites] for chunk in self.chunks(batch)])


@dataclass(frozen=True)
class Arrived:
    """The masks of samples that arrived measured."""

    dataset: Dataset
    indices: Sequence[int]

    @property
    def n(self) -> int:
        """How many samples there are."""
        return len(self.indices)

    @property
    def among(self) -> str:
        """Training samples."""
        return f"{self.n} samples of the data"

    def chunks(self) -> Iterator[Tensor]:
        """What was observed of the samples, CHUNK at a time."""
        for start in range(0, len(self.indices), CHUNK):
            observed = self.dataset.measured(self.indices[start : start + CHUNK]).observed
            if observed is None:
                return
            yield observed

    def batches(self, masks: Masks) -> Iterator[Tensor]:
        """The samples in a few parts at random; there are no fresh ones."""
        order = torch.randperm(masks.n, generator=stream(0, "inspect parts"))
        yield from (masks.kept[part] for part in order.chunk(BATCHES))
