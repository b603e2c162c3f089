"""Pictures in data sets of Hugging Face's `datasets` library, on the disk or from its hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Complaint, Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .dataset import HubPictures

AMBIENTKIT_HOOK_API = 1


class HuggingFaceOptions(Options):
    """Pictures in a column of a Hugging Face data set, read where they lie; keys are split and row.

    Its tables are mapped into memory, not read, so they may be larger than that; the library makes them from
    other files once, in its own cache. No code that comes with data is run. It needs the extra `hub`
    (pip install 'ambientkit[hub]'). Pictures become what those of `image_folder` become.
    """

    path: str
    """A folder that `save_to_disk` wrote, one with Parquet, Arrow or picture files, or a name on the hub
    (`OWNER/NAME`), which needs the network once; `~` is the home folder."""
    config: str | None = None
    """Which configuration, where the data set has several; refused for what `save_to_disk` wrote."""
    split: str = "train"
    """Which of its splits, or a slice such as `train[:1000]` or `train[10%:]`, or several joined by `+`."""
    column: str = "image"
    """The column with the pictures."""
    revision: str | None = None
    """A commit, branch or tag on the hub; refused for a folder. Give a commit, and the data can never become
    others."""
    crop: Literal["none", "square", "center"] = "square"
    """`square`: the largest central square. `center`: the largest central part that has the shape of
    data.image_size. `none`: the whole picture, which resizing may stretch."""
    crop_fraction: float = Field(1.0, gt=0, le=1)
    """Before that, take the central part with this share of the height and of the width."""
    channels: Literal[1, 3] = 3
    """3: RGB; 1: grey."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """`fail`: refuse, naming the row, when it is needed. `skip`: decode everything once at the start, and
    leave out and report what cannot be read."""

    def facts(self) -> frozenset[str]:
        """Clean pictures."""
        return frozenset({"clean"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The size must be given: nobody decodes millions of pictures to find it."""
        if context.image_size is None:
            yield Complaint("", "pictures in tables have no size of their own", "set data.image_size")


def _build(options: HuggingFaceOptions, context: Context) -> HubPictures:
    from ..folders.pictures import Framing
    from .dataset import HubPictures
    from .tables import places_of, tables_of

    framing = Framing(options.crop, options.crop_fraction, context.image_size, options.channels)
    tables = tables_of(options.path, options.config, options.column, options.revision)
    places = places_of(tables, options.split, options.path)
    return HubPictures(tables, places, options.column, framing, skip=options.on_bad_image == "skip")


@hookimpl
def register_datasets() -> Iterator[Component]:
    """`hugging_face`."""
    yield Component("hugging_face", HuggingFaceOptions, _build)
