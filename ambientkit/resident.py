"""Measurements kept where the networks are: a GPU that waits for its data is a GPU that idles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ambientkit.data import Batches, StoredSamples, rendered, sent
from ambientkit.interfaces import Measured

SHARE = 0.5  # of a GPU's free memory that measurements may take: networks need the rest


@dataclass(frozen=True)
class ResidentSamples:
    """A store's measurements on a device, as the store holds them: 8 bits stay 8 bits, masks stay bits."""

    y: Tensor
    observed: Tensor | None
    width: int
    known: Mapping[str, Tensor]
    fill: float | None

    @classmethod
    def of(cls, samples: StoredSamples, device: torch.device) -> ResidentSamples:
        """All of `samples`, on `device`."""
        arrays = {name: torch.tensor(array, device=device) for name, array in samples.store.arrays.items()}
        known = {name[6:]: array for name, array in arrays.items() if name.startswith("known.")}
        return cls(arrays["y"], arrays.get("observed"), samples.store.width, known, samples.fill)

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, indices: Tensor, counter: int) -> Measured:
        """The measurements at `indices`, on the device; the same whatever the counter."""
        here = sent(indices, self.y.device)
        observed = None if self.observed is None else unpacked(self.observed[here], self.width)
        known = {name: value[here] for name, value in self.known.items()}
        return rendered(Measured(self.y[here], observed, known or None), self.fill)


def unpacked(bits: Tensor, width: int) -> Tensor:
    """Bool (..., width) of bytes (..., ceil(width / 8)), whose highest bit comes first."""
    places = torch.arange(7, -1, -1, device=bits.device, dtype=torch.uint8)
    flags = (bits.unsqueeze(-1) >> places) & 1
    return flags.flatten(-2)[..., :width].bool()


def brought(batches: Batches, device: torch.device) -> Callable[[int], Measured]:
    """`batches` as a GPU likes them: resident where they fit, else read ahead into pinned memory.

    On a CPU they are what they were.
    """
    if device.type != "cuda":
        return batches
    samples = batches.samples
    if isinstance(samples, StoredSamples) and _size(samples) < SHARE * torch.cuda.mem_get_info(device)[0]:
        return replace(batches, samples=ResidentSamples.of(samples, device))
    return Ahead(batches, _pinned)


def _size(samples: StoredSamples) -> int:
    return sum(array.nbytes for array in samples.store.arrays.values())


@dataclass
class Ahead:
    """Batches by number, the next of which is read in a thread meanwhile; `then` is done to each there."""

    batches: Callable[[int], Measured]
    then: Callable[[Measured], Measured]
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "batches"))
    _next: tuple[int, Future[Measured]] | None = None

    def __call__(self, counter: int) -> Measured:
        """Batch number `counter`."""
        if self._next is not None and self._next[0] == counter:
            batch = self._next[1].result()
        else:
            batch = self._read(counter)
        self._next = (counter + 1, self._reader.submit(self._read, counter + 1))
        return batch

    def _read(self, counter: int) -> Measured:
        return self.then(self.batches(counter))


def _pinned(measured: Measured) -> Measured:
    """In memory that a GPU can fetch from while the host goes on."""
    known = None if measured.known is None else {n: value.pin_memory() for n, value in measured.known.items()}
    observed = None if measured.observed is None else measured.observed.pin_memory()
    return Measured(measured.y.pin_memory(), observed, known)
