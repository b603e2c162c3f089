"""CelebA from a plain folder of its JPEGs; no annotation file is needed."""

from __future__ import annotations

from pathlib import Path

from ambientkit.errors import DataError

from ..folders.dataset import PictureFiles
from ..folders.pictures import Framing
from .arrays import fetch

PLACES = (".", "img_align_celeba", "celeba/img_align_celeba", "img_align_celeba/img_align_celeba")


def open_celeba(
    root: Path, crop: float | tuple[int, int], size: tuple[int, int] | None, download: bool, skip: bool
) -> PictureFiles:
    """The faces below `root`, if `skip` without those that cannot be read.

    Raises DataError that says where to get them when they are missing.
    """
    folder = _folder(root)
    if folder is None and download:
        fetch("CelebA", root, split="all")
        folder = _folder(root)
    if folder is None:
        raise _missing(root)
    names = sorted(path.name for path in folder.glob("*.jpg"))
    return PictureFiles(folder, names, Framing("none", crop, size), skip)


def _folder(root: Path) -> Path | None:
    places = (root / place for place in PLACES)
    return next((place for place in places if place.is_dir() and any(place.glob("[0-9]*.jpg"))), None)


def _missing(root: Path) -> DataError:
    return DataError(
        f"{root.absolute()}: CelebA's pictures are not there. Get `img_align_celeba.zip` from "
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, unpack it and set data.source.root to the folder "
        "that holds `img_align_celeba`, or set data.source.download=true"
    )
