"""The measured store: `y`, `observed` and `known` of a data set, on disk and memory-mapped, or in memory.

A store is written aside and renamed when it is complete, so a crash leaves nothing half-made that
could be taken for a store. Of two runs that want the same one at once, the second waits for the first;
where a file system has no locks, both end with a whole one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ambientkit.durable import aside_of, flush, is_held, lock, remove, sweep, write_text
from ambientkit.errors import DataError
from ambientkit.interfaces import Measured
from ambientkit.levels import to_eight_bits

FORMAT = 1
KNOWN = "known."  # begins the names of what the instrument reports
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Store:
    """Measurements of n samples. `observed` is kept as bits along the last axis."""

    arrays: Mapping[str, Array]
    width: int

    def __len__(self) -> int:
        return len(self.arrays["y"])

    def read(self, indices: Array) -> Measured:
        """The samples at `indices`; y as stored, uint8 or float32."""
        observed = self.arrays.get("observed")
        names = [name for name in self.arrays if name.startswith(KNOWN)]
        known = {name.removeprefix(KNOWN): _tensor(self.arrays[name][indices]) for name in names}
        return Measured(
            _tensor(self.arrays["y"][indices]),
            None if observed is None else _unpack(observed[indices], self.width),
            known or None,
        )


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _unpack(bits: Array, width: int) -> Tensor:
    return torch.from_numpy(np.unpackbits(bits, axis=-1, count=width).astype(bool))


@dataclass
class StoreWriter:
    """Writes a store sample by sample: into `folder`, or into memory when it is None."""

    folder: Path | None = None
    _arrays: dict[str, Array] = field(default_factory=dict)
    _written: int = 0
    _width: int = 0
    _eight_bits: bool = False

    def open(self, first: Measured, count: int, *, eight_bits: bool) -> None:
        """Make room for `count` samples shaped like `first`."""
        self._eight_bits = eight_bits
        self._width = 0 if first.observed is None else first.observed.shape[-1]
        for name, array in self._encode(first).items():
            self._arrays[name] = self._room(name, (count, *array.shape[1:]), array.dtype)

    def append(self, measured: Measured) -> None:
        """Write the next samples."""
        stop = self._written + len(measured.y)
        for name, array in self._encode(measured).items():
            self._arrays[name][self._written : stop] = array
        self._written = stop

    def close(self) -> Store:
        """The finished store, read-only."""
        for array in self._arrays.values():
            if isinstance(array, np.memmap):
                array.flush()
            array.flags.writeable = False
        return Store(self._arrays, self._width)

    def _room(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        if self.folder is None:
            return np.empty(shape, dtype)
        file = self.folder / f"{name}.npy"
        array = np.lib.format.open_memmap(file, "w+", dtype, shape)
        _take_room(file)
        return array

    def _encode(self, measured: Measured) -> dict[str, Array]:
        arrays = {"y": self._encode_y(measured)}
        if measured.observed is not None:
            arrays["observed"] = np.packbits(measured.observed.numpy(), axis=-1)
        for name, value in (measured.known or {}).items():
            arrays[f"{KNOWN}{name}"] = value.numpy()
        return arrays

    def _encode_y(self, measured: Measured) -> Array:
        """8 bits keep only what was observed: hidden pixels are zero, and rendered anew when read."""
        y = measured.y
        if not self._eight_bits:
            return y.float().numpy()
        if y.is_floating_point():
            y = to_eight_bits(y)
        return (y if measured.observed is None else y * measured.observed).numpy()


def _take_room(file: Path) -> None:
    """Have the disk set the whole file aside: where it is full when a page is written, the process dies."""
    if not hasattr(os, "posix_fallocate"):
        return
    with file.open("r+b") as opened:
        os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def open_store(folder: Path) -> Store | None:
    """The store in `folder`, memory-mapped; None when there is none.

    Raises DataError when it is damaged.
    """
    if not (folder / "meta.json").is_file():
        return None
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        arrays = {name: _mapped(folder / f"{name}.npy", shape) for name, shape in meta["arrays"].items()}
    except (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError) as error:
        raise DataError(
            f"{folder}: the measured store is damaged ({error}); delete the folder to have it made anew"
        ) from error
    return Store(arrays, meta["width"])


def _mapped(path: Path, shape: list[int]) -> Array:
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    if list(array.shape) != shape:
        raise ValueError(f"{path.name} has shape {array.shape}, not {tuple(shape)}")
    return array


@contextmanager
def only_one(final: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Nobody else makes the store `final` meanwhile; `waiting` is told when another does now."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with lock(_lock_of(final), waiting):
        yield


def tidy(final: Path) -> None:
    """Remove the lock of a process that died between putting the store there and taking its lock away."""
    with suppress(OSError):  # a cache that is read only
        if _lock_of(final).exists():
            is_held(_lock_of(final))


def _lock_of(final: Path) -> Path:
    return final.with_name(f".{final.name}.lock")


def begin_store(final: Path) -> StoreWriter:
    """A writer whose folder lies beside `final`; what dead processes left there, of any store, is removed."""
    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(final)
    aside = aside_of(final)
    aside.mkdir()
    return StoreWriter(aside)


def _sweep(final: Path) -> None:
    """Remove what the dead left of any store. Who holds a store's lock is alive, on another machine maybe."""
    locks = set(final.parent.glob(".*.lock")) - {_lock_of(final)}
    made = [path.name.removesuffix("lock") for path in locks if is_held(path)]
    sweep(final.parent, spare=lambda aside: any(aside.name.startswith(name) for name in made))


def commit_store(writer: StoreWriter, final: Path, description: Mapping[str, Any]) -> Store:
    """Flush the store, describe it and rename it into place; another process's equal store wins."""
    assert writer.folder is not None
    store = writer.close()
    shapes = {name: list(array.shape) for name, array in store.arrays.items()}
    meta = {"format": FORMAT, "width": store.width, "arrays": shapes, **description}
    write_text(writer.folder / "meta.json", json.dumps(meta, indent=1))
    flush(writer.folder)
    try:
        writer.folder.rename(final)
    except OSError:
        discard_store(writer)
    flush(final.parent)
    found = open_store(final)
    if found is None:
        raise DataError(f"{final}: holds no whole store, and none can be put there; remove that folder")
    return found


def alike(made: Store, found: Store, places: Sequence[int]) -> bool:
    """Whether the samples of `made` are those of `found` at `places`, up to rounding."""
    if made.arrays.keys() != found.arrays.keys():
        return False
    there = {name: array[list(places)] for name, array in found.arrays.items()}
    return all(_close(array, there[name], levels=name == "y") for name, array in made.arrays.items())


def _close(one: Array, other: Array, levels: bool) -> bool:
    """Of bits and whole numbers none may differ, of `levels` in 8 bits by one, of others by a thousandth."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    if one.dtype == np.uint8 and levels:
        return int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max(initial=0)) <= 1
    if one.dtype.kind in "biu":
        return np.array_equal(one, other)
    return np.allclose(one, other, rtol=1e-3, atol=1e-3, equal_nan=True)


def discard_store(writer: StoreWriter) -> None:
    """Remove what was written aside."""
    if writer.folder is not None:
        remove(writer.folder)
