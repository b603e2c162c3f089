"""Toy faces as a data set; every picture is drawn when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ambientkit import Dataset
from ambientkit.errors import DataError

from .portrait import VERSION, draw_portrait
from .traits import draw_traits


class ToyFaces(Dataset):
    """`count` portraits of `size` (H, W), as uint8 (n, 3, H, W)."""

    def __init__(self, count: int, seed: int, size: tuple[int, int]) -> None:
        self.seed = seed
        self.image_shape = (3, *size)
        self.keys = [f"toy-{index:05d}" for index in range(count)]
        text = f"toy_faces version {VERSION}: count {count}, seed {seed}, size {size[0]}x{size[1]}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def images(self, indices: Sequence[int]) -> Tensor:
        """Portraits (n, 3, H, W), uint8. Raises DataError on an index that is not there."""
        batch = np.empty((len(indices), *self.image_shape), dtype=np.uint8)
        for row, index in enumerate(indices):
            batch[row] = self._portrait(int(index))
        return torch.from_numpy(batch)

    def _portrait(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self.keys):
            raise DataError(f"toy_faces has pictures 0 to {len(self.keys) - 1}, not {index}; raise `count`")
        _, height, width = self.image_shape
        return draw_portrait(draw_traits(self.seed, index), height, width)
