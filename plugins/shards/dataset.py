"""An index over the members of tar files, and the pictures at its places."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ambientkit import Dataset
from ambientkit.errors import DataError
from ambientkit.pictures import SUFFIXES, is_left_out

from ..folders.dataset import content_digest, decodable, in_threads
from ..folders.pictures import Framing, load_pixels, sound_size

T = TypeVar("T")


class Member(NamedTuple):
    """A picture file inside a shard: where its bytes lie."""

    key: str
    shard: Path
    offset: int
    size: int


class TarShards(Dataset):
    """The pictures of `shards`, framed, as uint8 (n, C, H, W); `skipped` could not be read."""

    def __init__(self, root: Path, shards: Sequence[Path], framing: Framing, skip: bool = False) -> None:
        assert framing.size is not None
        self.framing = framing
        members = [member for shard in shards for member in members_of(root, shard)]
        if not members:
            raise DataError(f"{root}: no pictures in its {len(shards)} shards; set `root` to others")
        _require_different(members)
        sound = partial(_read, sound_size, framing=framing)
        self.members = list(decodable(sound, members)) if skip else members
        kept = {member.key for member in self.members}
        self.skipped = [member.key for member in members if member.key not in kept]
        if not self.members:
            raise DataError(
                f"{root}: none of its {len(members)} pictures can be read, {members[0].key} for one"
            )
        self.keys = [member.key for member in self.members]
        self.image_shape = (framing.channels, *framing.size)
        self.fingerprint = _fingerprint(shards, framing)

    def images(self, indices: Sequence[int]) -> Tensor:
        """Pictures (n, C, H, W), uint8. Raises DataError that names a member that cannot be decoded."""
        members = [self.members[index] for index in indices]
        pixels = list(in_threads(partial(_read, load_pixels, framing=self.framing), members))
        return torch.from_numpy(np.stack(pixels) if pixels else np.empty((0, *self.image_shape), np.uint8))


def find_shards(root: Path) -> list[Path]:
    """The tar files at or below `root`, sorted, no hidden ones. Raises DataError where there are none."""
    if root.is_file():
        return [root]
    found = sorted(path for path in root.rglob("*.tar") if path.is_file() and _counts(path.relative_to(root)))
    if not found:
        raise DataError(f"{root}: no .tar files there; set `root` to a folder with shards (not compressed)")
    return found


def members_of(root: Path, shard: Path) -> Iterator[Member]:
    """The picture files in a shard, by its headers alone. Raises DataError where it is no such file."""
    name = shard.relative_to(root).as_posix() if shard != root else shard.name
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.isreg() and _is_picture(member.name):
                    yield Member(f"{name}/{member.name}", shard, member.offset_data, member.size)
            _require_whole(shard, archive.offset)
    except tarfile.ReadError as error:
        raise DataError(f"{shard}: cannot be read as an uncompressed tar file: {error}") from error


def _require_whole(shard: Path, end: int) -> None:
    """Python's reader ends where a header is cut or damaged, without a word: only zeros may follow."""
    with shard.open("rb") as file:
        file.seek(end)
        if any(chunk.strip(b"\0") for chunk in iter(partial(file.read, 1 << 16), b"")):
            raise DataError(
                f"{shard}: is cut short or damaged at byte {end}, or another shard follows; fetch it again"
            )


def _require_different(members: Sequence[Member]) -> None:
    """Tar files may hold several versions of a file: `tar -r` appends what it should replace."""
    seen: set[str] = set()
    for member in members:
        if member.key in seen:
            raise DataError(
                f"{member.shard}: holds {member.key} twice, as `tar -r` leaves what it replaces; unpack it "
                "and pack it anew"
            )
        seen.add(member.key)


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and _counts(path)


def _counts(path: PurePath) -> bool:
    return not any(is_left_out(part) for part in path.parts if part != "..")


def _read(reader: Callable[[Path, Framing, bytes], T], member: Member, framing: Framing) -> T:
    with member.shard.open("rb", buffering=0) as file:
        file.seek(member.offset)
        content = file.read(member.size)
    return reader(Path(member.key), framing, content)


def _fingerprint(shards: Sequence[Path], framing: Framing) -> str:
    """Of lengths and pieces of the shards, so that a copy elsewhere counts as the same data."""
    digest = hashlib.sha256(repr(framing).encode())
    for shard in shards:
        digest.update(shard.name.encode("utf-8", "surrogateescape") + b"\0" + content_digest(shard))
    return digest.hexdigest()
