"""MNIST and its like: the IDX files of pictures (http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ambientkit.errors import DataError

from .arrays import PicturesInMemory, chosen_parts, fetch

FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
MAGIC = b"\0\0\x08\x03"  # unsigned bytes, three axes
HEADER = 16


def open_idx(
    name: str, root: Path, split: str, size: tuple[int, int] | None, download: bool
) -> PicturesInMemory:
    """The data set `name` of torchvision, from files below `root`. Raises DataError when they are missing."""
    parts = chosen_parts(split)
    if download and any(_find(name, root, part) is None for part in parts):
        fetch(name, root)
    return PicturesInMemory(name, {part: read_idx(_path(name, root, part)) for part in parts}, size)


def _find(name: str, root: Path, part: str) -> Path | None:
    folders = (root, root / name / "raw", root / "raw")
    places = (folder / f"{FILES[part]}{suffix}" for folder in folders for suffix in ("", ".gz"))
    return next((place for place in places if place.is_file()), None)


def _path(name: str, root: Path, part: str) -> Path:
    path = _find(name, root, part)
    if path is None:
        raise DataError(
            f"{root.absolute()}: {FILES[part]} (or .gz) is neither there nor in {name}/raw; set "
            "data.source.root to the folder with the four files, or data.source.download=true"
        )
    return path


def read_idx(path: Path) -> Tensor:
    """Pictures (n, 1, H, W), uint8, of an IDX file, plain or gzipped. Raises DataError on a damaged one."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}; fetch it again") from error
    if len(data) < HEADER or data[:4] != MAGIC:
        raise DataError(f"{path}: is no IDX file of pictures; fetch it again")
    count, height, width = (int(number) for number in np.frombuffer(data, ">u4", 3, offset=4))
    if len(data) != HEADER + count * height * width:
        raise DataError(
            f"{path}: has {len(data)} bytes, not the {count} pictures it announces; fetch it again"
        )
    pixels = np.frombuffer(data, np.uint8, offset=HEADER).reshape(count, 1, height, width)
    return torch.from_numpy(pixels.copy())
