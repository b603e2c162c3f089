"""CIFAR-10 through torchvision, which checks the files' digests before it unpickles them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ambientkit.errors import DataError

from .arrays import PicturesInMemory, chosen_parts, fetch


def open_cifar10(root: Path, split: str, size: tuple[int, int] | None, download: bool) -> PicturesInMemory:
    """CIFAR-10 below `root`. Raises DataError when it is missing or damaged."""
    if download:
        fetch("CIFAR10", root)
    return PicturesInMemory("CIFAR10", {part: _part(root, part) for part in chosen_parts(split)}, size)


def _part(root: Path, part: str) -> Tensor:
    from torchvision.datasets import CIFAR10

    try:
        pixels = CIFAR10(root, train=part == "train").data
    except RuntimeError as error:
        raise DataError(
            f"{root.absolute()}: `cifar-10-batches-py` is not there or damaged; get "
            "cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it there, or "
            "set data.source.download=true"
        ) from error
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
