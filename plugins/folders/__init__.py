"""Pictures from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Complaint, Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .dataset import PictureFiles

AMBIENTKIT_HOOK_API = 1


class ImageFolderOptions(Options):
    """Picture files of a folder, cropped and resized; keys are paths relative to it.

    Pictures are turned as their EXIF orientation says, transparent ones are laid over white, 16-bit ones
    are scaled to 8 bits. Resizing is bicubic with antialiasing. A JPEG is decoded at a half, a quarter or an
    eighth of its size where its sides divide so and three times the wanted pixels are left.
    """

    root: Path
    """The folder; `~` is the home folder, other paths are relative to the current folder."""
    recursive: bool = True
    """Look into folders below it too (links to folders are not followed, dot files are left out)."""
    crop: Literal["none", "square", "center"] = "square"
    """`square`: the largest central square. `center`: the largest central part that has the shape of
    data.image_size. `none`: the whole picture, which resizing may stretch."""
    crop_fraction: float = Field(1.0, gt=0, le=1)
    """Before that, take the central part with this share of the height and of the width."""
    channels: Literal[1, 3] = 3
    """3: RGB; 1: grey."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """`fail`: refuse, naming the file; headers are read at the start, pixels when they are needed.
    `skip`: decode everything once at the start, and leave out and report what cannot be read."""

    def facts(self) -> frozenset[str]:
        """Clean pictures."""
        return frozenset({"clean"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Crops that do not go with the size."""
        size = context.image_size
        if self.crop == "center" and size is None:
            yield Complaint(
                "crop", "`center` crops to the shape of data.image_size, which is not given", "set it"
            )
        if self.crop == "square" and size is not None and size[0] != size[1]:
            wanted = f"{size[0]} x {size[1]}"
            yield Complaint("crop", f"squares are stretched to {wanted}", "use `crop: center`", warning=True)


def _build(options: ImageFolderOptions, context: Context) -> PictureFiles:
    from .dataset import PictureFiles, find_pictures, warn_of_transparency
    from .pictures import Framing

    root = options.root.expanduser()
    framing = Framing(options.crop, options.crop_fraction, context.image_size, options.channels)
    names = find_pictures(root, options.recursive)
    data = PictureFiles(root, names, framing, skip=options.on_bad_image == "skip")
    warn_of_transparency(root, data.keys)
    return data


@hookimpl
def register_datasets() -> Iterator[Component]:
    """`image_folder`."""
    yield Component("image_folder", ImageFolderOptions, _build)
