"""Pictures that fit into memory, and torchvision's downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Dataset
from ambientkit.errors import DataError

Parts = dict[str, Tensor]


class PicturesInMemory(Dataset):
    """Parts such as `train` and `test`, uint8 (n, C, H, W) each, resized when they are asked for.

    Keys are `train/00017` and so on.
    """

    def __init__(self, name: str, parts: Parts, size: tuple[int, int] | None) -> None:
        self._pictures = torch.cat(list(parts.values()))
        self.keys = [
            f"{part}/{index:05d}" for part, pictures in parts.items() for index in range(len(pictures))
        ]
        channels, height, width = self._pictures.shape[1:]
        self.image_shape = (channels, *(size or (height, width)))
        digest = hashlib.sha256(f"{name} {self.image_shape} {[*parts]}".encode())
        digest.update(self._pictures.numpy().data)
        self.fingerprint = digest.hexdigest()

    def images(self, indices: Sequence[int]) -> Tensor:
        """Pictures (n, C, H, W), uint8; bilinear with antialiasing where they are resized."""
        pictures = self._pictures[torch.as_tensor(indices, dtype=torch.long)]
        size = self.image_shape[1:]
        if pictures.shape[2:] == size:
            return pictures
        resized = functional.interpolate(pictures.float(), size=size, mode="bilinear", antialias=True)
        return resized.round().clamp(0, 255).to(torch.uint8)


def chosen_parts(split: str) -> tuple[str, ...]:
    """Names of the parts of a split."""
    return ("train", "test") if split == "all" else (split,)


def fetch(name: str, root: Path, **arguments: Any) -> None:
    """Download a data set with torchvision. Raises DataError with the reason when that fails."""
    from torchvision import datasets

    try:
        getattr(datasets, name)(root=root, download=True, **arguments)
    except Exception as error:  # network, quota, missing helper package: torchvision raises them all
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{name}: the download to {root.absolute()} failed: {reason}; fetch the files by hand and set "
            "data.source.root to their folder"
        ) from error
