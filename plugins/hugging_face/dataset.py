"""The pictures in the rows of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ambientkit import Dataset
from ambientkit.errors import DataError
from ambientkit.pictures import UnreadableError

from ..folders.dataset import in_threads
from ..folders.pictures import Framing, load_pixels
from .tables import Table

SEEN = 64  # rows, evenly spread, that tell one data set from another


class HubPictures(Dataset):
    """The pictures in `column`, framed, as uint8 (n, C, H, W); `skipped` could not be read."""

    def __init__(self, table: Table, column: str, framing: Framing, skip: bool = False) -> None:
        assert framing.size is not None
        self.table, self.column, self.framing = table, column, framing
        if not len(table):
            raise DataError("the split of the data set has no rows; choose another `split`")
        places = list(range(len(table)))
        self.rows = list(self._sound(places)) if skip else places
        if not self.rows:
            raise DataError(f"none of the {len(places)} pictures of the data set can be read")
        self.skipped = [_key(table, row) for row in sorted(set(places) - set(self.rows))]
        self.keys = [_key(table, row) for row in self.rows]
        self.image_shape = (framing.channels, *framing.size)
        self.fingerprint = self._fingerprint()

    def images(self, indices: Sequence[int]) -> Tensor:
        """Pictures (n, C, H, W), uint8. Raises DataError that names a row that cannot be decoded."""
        pixels = list(in_threads(self._pixels, [self.rows[index] for index in indices]))
        return torch.from_numpy(np.stack(pixels) if pixels else np.empty((0, *self.image_shape), np.uint8))

    def _pixels(self, row: int) -> NDArray[np.uint8]:
        key = _key(self.table, row)
        return load_pixels(Path(key), self.framing, _content(self.table[row][self.column], key))

    def _sound(self, rows: Sequence[int]) -> Iterator[int]:
        sound = in_threads(self._is_sound, rows)
        return (row for row, fine in zip(rows, sound, strict=True) if fine)

    def _is_sound(self, row: int) -> bool:
        try:
            self._pixels(row)
        except UnreadableError:
            return False
        return True

    def _fingerprint(self) -> str:
        """Of some rows' bytes and how many there are, so that a copy elsewhere counts as the same data."""
        digest = hashlib.sha256(f"{self.framing!r} {self.table.split} {len(self.table)}".encode())
        step = max(1, len(self.rows) // SEEN)
        for row in self.rows[::step]:
            digest.update(hashlib.sha256(_content(self.table[row][self.column], "")).digest())
        return digest.hexdigest()


def _key(table: Table, row: int) -> str:
    return f"{table.split or 'rows'}/{row:09d}"


def _content(picture: dict[str, object] | None, key: str) -> bytes:
    """The bytes of a picture file: in the table itself, or where it says that they are."""
    if picture is None:
        raise UnreadableError(f"{key}: the row has no picture")
    if isinstance(content := picture["bytes"], bytes):
        return content
    return Path(str(picture["path"])).read_bytes()
