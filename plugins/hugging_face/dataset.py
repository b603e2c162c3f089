"""The pictures in the rows of tables."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ambientkit import Dataset
from ambientkit.errors import DataError
from ambientkit.pictures import UnreadableError

from ..folders.dataset import decodable, in_threads
from ..folders.pictures import Framing, load_pixels, sound_size
from .tables import Place, Table

T = TypeVar("T")
SEEN = 64  # pictures, evenly spread, whose bytes tell one data set from another; of all others the size does


class HubPictures(Dataset):
    """The pictures at `places`, framed, as uint8 (n, C, H, W); `skipped` could not be read.

    Keys are split and row, whatever part of a split is asked for.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        places: Sequence[Place],
        column: str,
        framing: Framing,
        skip: bool = False,
    ) -> None:
        assert framing.size is not None
        self.tables, self.column, self.framing = tables, column, framing
        if not places:
            raise DataError("the split of the data set has no rows; choose another `split`")
        self.places = list(decodable(partial(self._read, sound_size), places)) if skip else list(places)
        if not self.places:
            raise DataError(
                f"none of the {len(places)} pictures of the data set can be read, {_key(places[0])} for one"
            )
        kept = set(self.places)
        self.skipped = [_key(place) for place in places if place not in kept]
        self.keys = [_key(place) for place in self.places]
        self.image_shape = (framing.channels, *framing.size)
        self.fingerprint = self._fingerprint()

    def images(self, indices: Sequence[int]) -> Tensor:
        """Pictures (n, C, H, W), uint8. Raises DataError that names a row that cannot be decoded."""
        places = [self.places[index] for index in indices]
        pixels = list(in_threads(partial(self._read, load_pixels), places))
        return torch.from_numpy(np.stack(pixels) if pixels else np.empty((0, *self.image_shape), np.uint8))

    def _read(self, reader: Callable[[Path, Framing, bytes | None], T], place: Place) -> T:
        """From bytes in the table, or from the file that it names, which may be nothing but a plain file."""
        picture, key = self._picture(place), _key(place)
        if picture is None:
            raise UnreadableError(f"{key}: the row has no picture")
        if picture["bytes"] is None:
            return reader(Path(str(picture["path"])), self.framing, None)
        return reader(Path(key), self.framing, picture["bytes"])

    def _picture(self, place: Place) -> dict[str, Any] | None:
        split, row = place
        found: dict[str, Any] | None = self.tables[split][row][self.column]
        return found

    def _fingerprint(self) -> str:
        """Of every picture's size and some pictures' bytes; a copy elsewhere counts as the same data."""
        digest = hashlib.sha256(repr(self.framing).encode())
        for name in sorted({split for split, _ in self.places}):
            digest.update(f"{name} {sizes(self.tables[name], self.column).tobytes().hex()}".encode())
        digest.update("\n".join(self.keys).encode())
        for place in self.places[:: max(1, len(self.places) // SEEN)]:
            digest.update(hashlib.sha256(self._seen(place)).digest())
        return digest.hexdigest()

    def _seen(self, place: Place) -> bytes:
        """The bytes of a picture; none of one that cannot be had, which is told when it is needed."""
        picture = self._picture(place)
        if picture is None or picture["bytes"] is not None:
            return picture["bytes"] if picture else b""
        file = Path(picture["path"])
        return file.read_bytes() if file.is_file() else b""


def sizes(table: Table, column: str) -> NDArray[np.int64]:
    """Bytes of every picture file in a table or beside it; -1 where there is none."""
    pictures = table.data.column(column)
    found: list[int] = []
    for chunk in pictures.chunks:
        for content, path in zip(_lengths(chunk), chunk.field("path").to_pylist(), strict=True):
            found.append(content if content is not None else _size_of(path))
    return np.array(found, dtype=np.int64)


def _lengths(chunk: Any) -> list[int | None]:
    arrow = importlib.import_module("pyarrow.compute")
    lengths: list[int | None] = arrow.binary_length(chunk.field("bytes")).to_pylist()
    return lengths


def _size_of(path: str | None) -> int:
    file = Path(path) if path else None
    return file.stat().st_size if file and file.is_file() else -1


def _key(place: Place) -> str:
    return f"{place[0]}/{place[1]:09d}"
