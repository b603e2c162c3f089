"""Picture files as a data set: found once, decoded when they are asked for, by several threads."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ambientkit import Dataset
from ambientkit.errors import DataError
from ambientkit.pictures import SUFFIXES, UnreadableError, picture_names, picture_size, shows_through

from .pictures import Framing, Size, load_pixels, sound_size

P = TypeVar("P")
T = TypeVar("T")
SEEN_OF_A_FILE = 1 << 17  # bytes; of larger ones as many, in PIECES
PIECES = 32
LOOKED_AT = 16  # pictures, for transparency
HANDFUL = 8  # places that a thread takes at once, at most: each handing over costs about a small file
log = logging.getLogger("ambientkit")


class PictureFiles(Dataset):
    """The pictures `names` below `root`, framed, as uint8 (n, C, H, W); `skipped` could not be read."""

    def __init__(self, root: Path, names: Sequence[str], framing: Framing, skip: bool = False) -> None:
        self.root = root
        self.framing = framing
        sizes = _sizes(root, names, framing, skip)
        self.keys = list(sizes)
        self.skipped = [name for name in names if name not in sizes]
        if not self.keys:
            raise DataError(f"{root}: none of its {len(names)} pictures can be read, {names[0]} for one")
        self.image_shape = (framing.channels, *_common_size(root, sizes, framing))
        self.fingerprint = _fingerprint(root, self.keys, framing)

    def images(self, indices: Sequence[int]) -> Tensor:
        """Pictures (n, C, H, W), uint8. Raises DataError that names a file that cannot be decoded."""
        paths = [self.root / self.keys[index] for index in indices]
        batch = np.empty((len(paths), *self.image_shape), dtype=np.uint8)
        for row, pixels in enumerate(in_threads(partial(load_pixels, framing=self.framing), paths)):
            if pixels.shape != self.image_shape:
                raise DataError(f"{paths[row]}: has changed its size since it was found; start again")
            batch[row] = pixels
        return torch.from_numpy(batch)


def find_pictures(root: Path, recursive: bool = True, option: str = "data.source.root") -> list[str]:
    """Names of the picture files below `root`, relative, with slashes, sorted.

    Raises DataError when there is no such folder, or no picture in it; `option` is what to set then.
    """
    if not root.is_dir():
        raise DataError(f"{root.absolute()}: there is no such folder; set {option} to one with pictures")
    names = picture_names(root, recursive)
    if not names:
        kinds, more = " ".join(sorted(SUFFIXES)), "" if recursive else ", or `recursive: true`"
        raise DataError(f"{root}: no pictures there (looked for {kinds}); set {option}{more}")
    return names


def warn_of_transparency(root: Path, names: Sequence[str]) -> None:
    """Say so where one of a few pictures is transparent in places.

    That may be what the sensor lost, and laid over white it would be learnt as part of the picture.
    """
    for name in names[:: -(-len(names) // LOOKED_AT)]:
        try:
            transparent = shows_through(root / name)
        except UnreadableError:  # told when its pixels are needed
            continue
        if transparent:
            log.warning(
                "%s: %s is transparent in places, which are laid over white; if they are what the sensor "
                "lost, use `data.source: {kind: incomplete, source: %s, alpha: true}`",
                root,
                name,
                root,
            )
            return


def decodable(load: Callable[[P], object], pictures: Sequence[P]) -> Iterator[P]:
    """Those of `pictures` that `load` decodes, in their order."""

    def tried(picture: P) -> bool:
        try:
            load(picture)
        except UnreadableError:
            return False
        return True

    return (picture for picture, fine in zip(pictures, in_threads(tried, pictures), strict=True) if fine)


def in_threads(work: Callable[[P], T], places: Sequence[P]) -> Iterator[T]:
    """`work` on each place, several at a time; results and errors in the order of the places."""
    threads = min(8, os.cpu_count() or 1)
    hand = max(1, min(HANDFUL, len(places) // (4 * threads)))  # few are shared out evenly
    hands = [places[start : start + hand] for start in range(0, len(places), hand)]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for done in pool.map(lambda some: [work(place) for place in some], hands):
            yield from done


def _sizes(root: Path, names: Sequence[str], framing: Framing, skip: bool) -> dict[str, Size]:
    """Natural sizes by name; without what cannot be read if `skip`, else that raises DataError."""
    measure = partial(_size_if_sound, framing=framing) if skip else picture_size
    found: Iterator[Size | None] = in_threads(measure, [root / name for name in names])
    return {name: size for name, size in zip(names, found, strict=True) if size is not None}


def _size_if_sound(path: Path, framing: Framing) -> Size | None:
    try:
        return sound_size(path, framing)
    except UnreadableError:
        return None


def _common_size(root: Path, sizes: dict[str, Size], framing: Framing) -> Size:
    """(H, W) that all pictures have after framing. Raises DataError where they differ."""
    if framing.size is not None:
        return framing.size
    cuts = {name: framing.cut(*size) for name, size in sizes.items()}
    first, wanted = next(iter(cuts.items()))
    for name, size in cuts.items():
        if size != wanted:
            raise DataError(
                f"{root}: pictures differ in size: {first} is {wanted[0]} x {wanted[1]}, {name} is "
                f"{size[0]} x {size[1]} (height x width); set data.image_size to resize them"
            )
    return wanted


def _fingerprint(root: Path, names: Sequence[str], framing: Framing) -> str:
    """Of names and contents, so that a copy elsewhere counts as the same data."""
    digest = hashlib.sha256(repr(framing).encode())
    for name in names:  # one after another: threads take longer over reads as small as these
        digest.update(os.fsencode(name) + b"\0" + content_digest(root / name))
    return digest.hexdigest()


def content_digest(path: Path) -> bytes:
    """Digest of a file's length and bytes: of all, or of pieces from first to last where it is large."""
    with path.open("rb", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        digest = hashlib.blake2b(str(length).encode() + b"\0")
        if length <= SEEN_OF_A_FILE:
            digest.update(file.read())
            return digest.digest()
        piece = SEEN_OF_A_FILE // PIECES
        for number in range(PIECES):
            file.seek(number * (length - piece) // (PIECES - 1))
            digest.update(file.read(piece))
    return digest.digest()
