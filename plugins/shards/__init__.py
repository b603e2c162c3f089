"""Pictures in tar files, as WebDataset and others write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Complaint, Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .dataset import TarShards

AMBIENTKIT_HOOK_API = 1


class TarShardsOptions(Options):
    """Picture files inside uncompressed tar files, read where they lie; keys are shard and member.

    For data sets of millions of pictures, which are a burden to a file system as single files. Nothing is
    unpacked. What is in the shards besides pictures (labels, captions) is passed over. Pictures become what
    those of `image_folder` become.
    """

    root: Path
    """A folder with .tar files, in folders below it too, or one .tar file; `~` is the home folder."""
    crop: Literal["none", "square", "center"] = "square"
    """`square`: the largest central square. `center`: the largest central part that has the shape of
    data.image_size. `none`: the whole picture, which resizing may stretch."""
    crop_fraction: float = Field(1.0, gt=0, le=1)
    """Before that, take the central part with this share of the height and of the width."""
    channels: Literal[1, 3] = 3
    """3: RGB; 1: grey."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """`fail`: refuse, naming the member, when it is needed. `skip`: decode everything once at the start, and
    leave out and report what cannot be read."""

    def facts(self) -> frozenset[str]:
        """Clean pictures."""
        return frozenset({"clean"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The size must be given: nobody reads the headers of millions of pictures to find it."""
        if context.image_size is None:
            yield Complaint("", "pictures in shards have no size of their own", "set data.image_size")


def _build(options: TarShardsOptions, context: Context) -> TarShards:
    from ..folders.pictures import Framing
    from .dataset import TarShards, find_shards

    framing = Framing(options.crop, options.crop_fraction, context.image_size, options.channels)
    shards = find_shards(options.root.expanduser())
    return TarShards(options.root.expanduser(), shards, framing, skip=options.on_bad_image == "skip")


@hookimpl
def register_datasets() -> Iterator[Component]:
    """`tar_shards`."""
    yield Component("tar_shards", TarShardsOptions, _build)
