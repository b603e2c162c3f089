"""Arrays of measurements as a data set that arrives measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ambientkit import Dataset, Measured
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape

from ..array_files import Array, load_arrays, names_of
from . import MeasuredArrayOptions

KNOWN = "known_"
CHUNK = 1024  # measurements looked at a time


class MeasuredArray(Dataset):
    """y (N, ...) as an instrument delivered it, what it observed and what it reported.

    Keys are the places in the file, so the order of the measurements belongs to the data.
    """

    arrives_measured = True

    def __init__(self, y: Array, observed: Array | None, known: dict[str, Array], image_shape: Shape) -> None:
        self._y, self._observed, self._known = y, observed, known
        self.image_shape = image_shape
        self.keys = [f"{index:08d}" for index in range(len(y))]
        self.fingerprint = _fingerprint([y, *([] if observed is None else [observed]), *known.values()])

    def measured(self, indices: Sequence[int]) -> Measured:
        """y uint8 or float32, bool `observed` (n, 1 or C, H, W), and all that is known."""
        chosen = np.asarray(indices, dtype=np.int64)
        known = {name: _tensor(values[chosen]) for name, values in self._known.items()}
        observed = None if self._observed is None else _tensor(self._observed[chosen])
        y = self._y[chosen] if self._y.dtype == np.uint8 else _narrowed(self._y[chosen])
        return Measured(_tensor(y), observed, known or None)


def open_array(options: MeasuredArrayOptions, size: tuple[int, int] | None) -> MeasuredArray:
    """Read and check the file. Raises DataError that names it, and what is wrong."""
    file = options.file.expanduser()
    arrays = _load(file)
    if "y" not in arrays:
        raise DataError(f"{file}: holds {names_of(arrays)}, but no array `y` with the measurements")
    _require_known_names(file, arrays)
    last = options.layout == "channels_last"
    y = _ranged(file, _pictures_first(file, "y", arrays["y"], last), options.value_range)
    known = {name.removeprefix(KNOWN): values for name, values in arrays.items() if name.startswith(KNOWN)}
    observed = _observed(file, arrays, options, y)
    kept = {f"{KNOWN}{name}": values for name, values in known.items()}
    _require_lengths(file, {"y": y, **kept} | ({} if observed is None else {"observed": observed}))
    _require_finite(file, y, observed)
    return MeasuredArray(y, observed, _numbers(file, known), _image_shape(file, options, y, size))


def _load(file: Path) -> dict[str, Array]:
    if not file.is_file():
        raise DataError(f"{file.absolute()}: there is no such file; set data.source.file")
    return load_arrays(file, "y", mapped=True)


def _require_known_names(file: Path, arrays: dict[str, Array]) -> None:
    """No array is passed over in silence."""
    strange = [name for name in arrays if name not in {"y", "observed"} and not name.startswith(KNOWN)]
    if strange:
        raise DataError(
            f"{file}: the array `{strange[0]}` is neither `y`, `observed` nor `known_...`; "
            "rename it, or leave it out"
        )


def _pictures_first(file: Path, name: str, array: Array, channels_last: bool) -> Array:
    """(N, C, H, W) where the file says that channels come last."""
    if not channels_last:
        return array
    if array.ndim != 4:
        raise DataError(f"{file}: `{name}` is {array.shape}; layout: channels_last needs (N, H, W, C)")
    return array.transpose(0, 3, 1, 2)


def _ranged(file: Path, y: Array, value_range: tuple[float, float] | None) -> Array:
    """uint8 as it is (0..255 are -1..1), real numbers as float32, `value_range` as -1..1."""
    if y.ndim < 2 or not y.size:
        raise DataError(f"{file}: `y` is {y.shape}; it needs an axis of measurements, then their values")
    if y.dtype == np.uint8:
        if value_range is not None:
            raise DataError(f"{file}: `y` is uint8, 0..255; remove `value_range`")
        return y
    if y.dtype.kind not in "fiu":
        raise DataError(
            f"{file}: `y` is {y.dtype}; give real numbers, the parts of complex ones as channels of their own"
        )
    if value_range is None:
        return y
    low, high = value_range
    if low >= high:
        raise DataError(f"{file}: value_range {list(value_range)} is not [lower, higher]")
    return (y.astype(np.float32) - np.float32(low)) * np.float32(2 / (high - low)) - np.float32(1)


def _observed(file: Path, arrays: dict[str, Array], options: MeasuredArrayOptions, y: Array) -> Array | None:
    """Bool (N, 1 or C, H, W), if the options say that there is one; never passed over in silence."""
    if options.observed and "observed" not in arrays:
        raise DataError(f"{file}: has no array `observed`; set data.source.observed: false")
    if not options.observed and "observed" in arrays:
        raise DataError(f"{file}: has an array `observed`; set data.source.observed: true, or leave it out")
    if not options.observed:
        return None
    seen = arrays["observed"]
    if seen.ndim == 3:
        seen = seen[:, None]
    elif options.layout == "channels_last":
        seen = _pictures_first(file, "observed", seen, channels_last=True)
    if seen.dtype != np.bool_:
        raise DataError(f"{file}: `observed` must be bool, not {seen.dtype}; save it with .astype(bool)")
    if y.ndim != 4 or seen.shape[1] not in (1, y.shape[1]) or seen.shape[2:] != y.shape[2:]:
        raise DataError(f"{file}: `observed` is {seen.shape}, `y` {y.shape}; it needs (N, 1 or C, H, W) of y")
    blind = ~seen.reshape(len(seen), -1).any(1)
    if blind.any():
        raise DataError(f"{file}: measurement {int(blind.argmax())} shows nothing (`observed`); leave it out")
    return seen


def _require_lengths(file: Path, arrays: dict[str, Array]) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"`{name}` {length}" for name, length in lengths.items())
        raise DataError(f"{file}: the arrays have different numbers of measurements: {said}")


def _chunks(array: Array) -> Iterator[tuple[int, Array]]:
    for start in range(0, len(array), CHUNK):
        yield start, np.asarray(array[start : start + CHUNK])


def _require_finite(file: Path, y: Array, observed: Array | None) -> None:
    """NaN is a usual mark of what is missing: hidden pixels may hold it, and are not read."""
    for start, chunk in _chunks(y):
        finite = np.isfinite(_narrowed(chunk))
        if observed is not None:
            finite |= ~observed[start : start + len(chunk)]
        bad = ~finite.reshape(len(chunk), -1).all(1)
        if bad.any():
            number = start + int(bad.argmax())
            raise DataError(f"{file}: measurement {number} of `y` holds {_infinite(chunk[bad.argmax()])}")


def _numbers(file: Path, known: dict[str, Array]) -> dict[str, Array]:
    """What is known, as float32, integers or bool."""
    for name, values in known.items():
        if values.dtype.kind not in "fiub":
            raise DataError(f"{file}: `{KNOWN}{name}` is {values.dtype}; give real numbers or bool")
        if values.dtype.kind == "f" and not np.isfinite(_narrowed(values)).all():
            raise DataError(f"{file}: `{KNOWN}{name}` holds {_infinite(values)}")
        if values.dtype.kind == "u" and values.size and values.max() > np.iinfo(np.int64).max:
            raise DataError(f"{file}: `{KNOWN}{name}` holds {values.max()}, which is too large for int64")
    wide = {"i": np.int64, "u": np.int64, "b": np.bool_}
    return {
        name: _narrowed(values) if values.dtype.kind == "f" else values.astype(wide[values.dtype.kind])
        for name, values in known.items()
    }


def _narrowed(values: Array) -> NDArray[np.float32]:
    """As float32; what is too large for it becomes infinity, which callers look for."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _infinite(values: Array) -> str:
    """What is wrong with values of which not all are finite as float32."""
    if np.isfinite(values).all():
        return "numbers too large for float32; give it in other units"
    return "NaN or infinity"


def _image_shape(file: Path, options: MeasuredArrayOptions, y: Array, size: tuple[int, int] | None) -> Shape:
    """What the generator makes; that `data.image_size` says the same is made sure of."""
    shape = options.image_shape or (tuple(y.shape[1:]) if y.ndim == 4 else None)
    if shape is None:
        raise DataError(
            f"{file}: measurements of shape {y.shape[1:]} are no pictures; say with "
            "data.source.image_shape: [C, H, W] which pictures are behind them"
        )
    if size is not None and size != shape[1:]:
        raise DataError(f"{file}: data.image_size is {list(size)}, but the pictures are {list(shape[1:])}")
    return shape


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _fingerprint(arrays: Sequence[Array]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        for _, chunk in _chunks(array):
            digest.update(np.ascontiguousarray(chunk).data)
    return digest.hexdigest()
