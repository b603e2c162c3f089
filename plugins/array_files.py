"""Arrays in `.npy` and `.npz` files. Pickled objects in them are refused, for they can run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ambientkit.errors import DataError

Array = NDArray[Any]


def load_arrays(path: Path, only: str, mapped: bool = False) -> dict[str, Array]:
    """Every array of an `.npz` file by name; that of an `.npy` file, `mapped` if so asked, as `only`.

    The content decides which it is. Raises DataError that names a file which cannot be read.
    """
    try:
        with path.open("rb") as stream:
            if mapped and stream.peek(2)[:2] != b"PK":
                return {only: np.load(path, mmap_mode="r", allow_pickle=False)}
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {only: loaded}
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # damaged bytes make readers raise nearly anything, MemoryError too
        reason = str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read as numpy arrays: {reason}") from error


def names_of(arrays: dict[str, Array]) -> str:
    """What a file holds, as a message tells it."""
    return ", ".join(f"`{name}`" for name in sorted(arrays)) or "nothing"
