"""Data set -> measured store -> batches.

Every training picture is measured exactly once, with a theta that depends on (data.seed, key)
alone. The store then holds `y`, `observed`, `known` and nothing else, and it is all that training
gets: no clean pixel, no nuisance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Protocol

import torch
from torch import Tensor

from ambientkit.data_check import images_of, measured_of
from ambientkit.errors import DataError
from ambientkit.interfaces import Dataset, Measured, Measurement, Shape, Theta
from ambientkit.levels import to_float
from ambientkit.recipe import HoldoutRule
from ambientkit.store import Store, StoreWriter
from ambientkit.streams import stream

Progress = Callable[[str, int, int], None]
CHUNK = 256  # pictures decoded and measured at a time


def no_progress(what: str, done: int, total: int) -> None:
    """Say nothing."""


# Splitting --------------------------------------------------------------------------------------


def split(keys: Sequence[str], holdout: int | HoldoutRule) -> tuple[list[int], list[int]]:
    """Indices of training and of held-out pictures, by the SHA-1 of their file names.

    Neither depends on the order of the files. Raises DataError when nothing is left to train on.
    """
    hashes = [
        int(hashlib.sha1(PurePosixPath(key).name.encode("utf-8", "surrogateescape")).hexdigest(), 16)
        for key in keys
    ]
    if isinstance(holdout, HoldoutRule):
        out = [i for i, value in enumerate(hashes) if value % holdout.one_in == 0]
        held = sorted(out, key=keys.__getitem__)[: holdout.first]
    else:
        ranked = sorted(range(len(keys)), key=lambda i: (hashes[i], keys[i]))  # equal names: by the whole key
        out = held = sorted(ranked[:holdout])
    training = sorted(set(range(len(keys))) - set(out))
    if not training:
        told = f"one in {holdout.one_in}" if isinstance(holdout, HoldoutRule) else f"{holdout}"
        raise DataError(
            f"data.holdout ({told}) keeps all {len(keys)} pictures; nothing is left to train on: lower it"
        )
    if not held and holdout:
        raise DataError(f"data.holdout keeps none of {len(keys)} pictures; lower `one_in`")
    return training, held


# Measuring --------------------------------------------------------------------------------------


def sample_by_key(sensor: Measurement, shape: Shape, seed: int, name: str, keys: Sequence[str]) -> Theta:
    """Theta for each key from a stream of its own: no matter which others are measured with it."""
    draws = [sensor.sample(1, shape, stream(seed, name, key)) for key in keys]
    return {part: torch.cat([draw[part] for draw in draws]) for part in draws[0]}


@dataclass(frozen=True)
class Source:
    """Pictures of a data set, and how they are measured."""

    dataset: Dataset
    sensor: Measurement
    seed: int
    stream_name: str

    def measure(self, indices: Sequence[int]) -> Measured:
        """Measure these pictures, each by its own key; or hand on what arrived measured."""
        if self.dataset.arrives_measured:
            return self._arrived(measured_of(self.dataset, indices))
        images = to_float(images_of(self.dataset, indices), self.dataset.value_range)
        shape = tuple(images.shape[1:])
        theta = sample_by_key(
            self.sensor, shape, self.seed, self.stream_name, [self.dataset.keys[i] for i in indices]
        )
        y = self.sensor.measure(images, theta)
        return Measured(y, self.sensor.observed(theta, shape), self.sensor.known(theta))

    def _arrived(self, measured: Measured) -> Measured:
        """What the data call hidden is not kept, whatever they hold there, NaN too."""
        if measured.observed is None or bool(measured.observed.all()):
            return measured
        if self.sensor.fill is None:
            raise DataError(
                "the data say which of their pixels are hidden, but the recipe's sensor writes no constant "
                "where it hides, so what they hold there would be shown and fakes would differ; use a sensor "
                "with a `fill`, last in a `sequence` if need be"
            )
        return replace(measured, y=torch.where(measured.observed, measured.y, torch.zeros_like(measured.y)))

    def in_eight_bits(self, measured: Measured) -> bool:
        """Whether y survives 8 bits: exact sensor, 8-bit pictures, hidden pixels that can be made anew."""
        if measured.y.dtype == torch.uint8:
            return True
        return self.sensor.exact and self._renders(measured.observed) and self._eight_bit_pictures()

    def _renders(self, observed: Tensor | None) -> bool:
        """One sample speaks for all only where theta is the same for all."""
        if self.sensor.fill is not None or observed is None:
            return True
        return not self.sensor.random and bool(observed.all())

    def _eight_bit_pictures(self) -> bool:
        return not self.dataset.arrives_measured and self.dataset.images([0]).dtype == torch.uint8


def fill_store(
    writer: StoreWriter, source: Source, indices: Sequence[int], progress: Progress = no_progress
) -> None:
    """Measure the pictures at `indices`, each once, into a store."""
    for start in range(0, len(indices), CHUNK):
        measured = source.measure(indices[start : start + CHUNK])
        if start == 0:
            writer.open(measured, len(indices), eight_bits=source.in_eight_bits(measured))
        _require_finite(measured.y, source.dataset, indices[start : start + CHUNK])
        writer.append(measured)
        progress("measuring", min(start + CHUNK, len(indices)), len(indices))


def _require_finite(y: Tensor, dataset: Dataset, indices: Sequence[int]) -> None:
    if not y.is_floating_point() or bool(torch.stack(y.aminmax()).isfinite().all()):
        return  # one pass, and what is not a number is passed on by it
    bad = int((~torch.isfinite(y.flatten(1)).all(1)).nonzero()[0])
    raise DataError(f"{dataset.keys[indices[bad]]}: its measurement holds a value that is not finite")


def files_read(*sensors: Measurement | None) -> str:
    """The fingerprints of what sensors read from files, "" where they read none."""
    return " ".join(sensor.fingerprint for sensor in sensors if sensor is not None and sensor.fingerprint)


# Batches ----------------------------------------------------------------------------------------


class Samples(Protocol):
    """Training measurements by index."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, counter: int) -> Measured:
        """The measurements at `indices`; `counter` numbers the batch."""
        ...


@dataclass(frozen=True)
class StoredSamples:
    """Measurements from a store, hidden pixels rendered with the sensor's fill."""

    store: Store
    fill: float | None

    def __len__(self) -> int:
        return len(self.store)

    def batch(self, indices: Tensor, counter: int) -> Measured:
        """The same measurements whatever the counter."""
        return rendered(self.store.read(indices.numpy()), self.fill)


@dataclass(frozen=True)
class FreshSamples:
    """`measure: fresh`: clean pictures, measured anew each time; not learning from incomplete data."""

    source: Source
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Tensor, counter: int) -> Measured:
        """The pictures under a theta of this counter."""
        dataset, sensor = self.source.dataset, self.source.sensor
        chosen = [self.indices[i] for i in indices.tolist()]
        images = to_float(images_of(dataset, chosen), dataset.value_range)
        shape = tuple(images.shape[1:])
        theta = sensor.sample(len(images), shape, stream(self.source.seed, "fresh", counter))
        return Measured(sensor.measure(images, theta), sensor.observed(theta, shape), sensor.known(theta))


def rendered(measured: Measured, fill: float | None) -> Measured:
    """Float y whose hidden pixels hold the sensor's fill, exactly as `measure` writes it."""
    y = to_float(measured.y)
    if fill is not None and measured.observed is not None:
        y = torch.where(measured.observed, y, fill)
    return Measured(y, measured.observed, measured.known)


@lru_cache(maxsize=4)
def _order(n: int, seed: int, name: str, epoch: int) -> Tensor:
    return torch.randperm(n, generator=stream(seed, name, epoch))


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Numbers on a device, without waiting for what it has still to do, as copies from plain memory may."""
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)


@dataclass(frozen=True)
class Batches:
    """Batches as a function of their number: each epoch a new order, the incomplete last batch left out.

    `prefix` tells the streams that it draws from apart from those of other batches.
    """

    samples: Samples
    size: int
    seed: int
    flip: bool = False
    prefix: str = ""

    def __post_init__(self) -> None:
        if len(self.samples) < self.size:
            raise DataError(
                f"{len(self.samples)} training pictures are fewer than one batch of {self.size}; "
                "lower train.batch_size or give more pictures"
            )

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self.samples) // self.size

    def indices(self, counter: int) -> Tensor:
        """Which pictures batch `counter` holds."""
        epoch, position = divmod(counter, self.per_epoch)
        order = _order(len(self.samples), self.seed, f"{self.prefix}order", epoch)
        return order[position * self.size : (position + 1) * self.size]

    def __call__(self, counter: int) -> Measured:
        """Batch number `counter`."""
        measured = self.samples.batch(self.indices(counter), counter)
        return self._flipped(measured, counter) if self.flip else measured

    def _flipped(self, measured: Measured, counter: int) -> Measured:
        chance = torch.rand(self.size, generator=stream(self.seed, f"{self.prefix}flip", counter))
        chosen = sent(chance.lt(0.5), measured.y.device)
        seen = None if measured.observed is None else _mirrored(measured.observed, chosen)
        return Measured(_mirrored(measured.y, chosen), seen, measured.known)


def _mirrored(maps: Tensor, chosen: Tensor) -> Tensor:
    """The `chosen` (n,) of them from left to right."""
    return torch.where(chosen.view(-1, *[1] * (maps.dim() - 1)), maps.flip(-1), maps)


@dataclass(frozen=True)
class HoldOut:
    """Held-out measurements, with the clean pictures that only metrics may see (None: there are none)."""

    samples: Samples
    truth: Tensor | None
    value_range: tuple[float, float] = (-1.0, 1.0)
    sensor: Measurement | None = None  # that measured them

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, size: int, limit: int | None = None) -> Iterator[tuple[Measured, Tensor | None]]:
        """(measured, truth in [-1, 1]) in order, `size` at a time."""
        for indices in torch.split(torch.arange(min(len(self), limit or len(self))), size):
            truth = None if self.truth is None else to_float(self.truth[indices], self.value_range)
            yield self.samples.batch(indices, 0), truth


def hold_out(source: Source, indices: Sequence[int], writer: StoreWriter) -> HoldOut:
    """Measure held-out pictures and keep their clean version for metrics alone."""
    fill_store(writer, source, indices)
    samples = StoredSamples(writer.close(), source.sensor.fill)
    truth = None if source.dataset.arrives_measured else images_of(source.dataset, indices)
    return HoldOut(samples, truth, source.dataset.value_range, source.sensor)
