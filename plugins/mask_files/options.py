"""Options of holes from a folder of mask pictures, and what cannot work with them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from ambientkit import Complaint, Context, Options

from ..sizes import Fill

MOST_LOOKED_AT = 5000
"""Files and folders that a recipe's check looks at: `folder: /` must not keep it waiting."""


class MaskFromDataOptions(Options):
    """Hides holes drawn from a folder of mask pictures, whatever the picture.

    Each picture gets one of the masks, all as likely. Masks are black and white; those with much grey, and
    those that hide everything, are refused by name. To draw from the holes with which the data themselves
    arrived, use `masks_of_data`.
    """

    folder: Path
    """The folder, searched with its sub-folders, of mask pictures (png, jpg and the like). Which mask is
    drawn depends on the sorted file names, so adding a file changes the draws."""
    hidden: Literal["white", "black"] = "white"
    """What the masks show where pixels are hidden."""
    resize: bool = True
    """Masks of another size are resized to the pictures' by the nearest pixel (holes stay black and white; a
    mask of another shape is stretched). false: they are refused."""
    mirror: bool = False
    """Mirror each drawn mask left to right with probability 1/2, which makes the holes' law symmetric."""
    fill: Fill = 1.0
    """Value of hidden pixels, in [-1, 1]: 1 is white, -1 black."""

    def facts(self) -> frozenset[str]:
        """Exact; mirroring keeps the law only where masks are mirrored too; one mask is not random."""
        said = {"flip": self.mirror, "random": self.mirror or _several(self.folder.expanduser())}
        return frozenset({"exact", "observed", "pixelwise"}) | {fact for fact, holds in said.items() if holds}

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """The folder must be there; its masks are read when the sensor is built."""
        folder = self.folder.expanduser()
        if not folder.is_dir():
            message = f"{folder.absolute()}: there is no such folder"
            yield Complaint("folder", message, "set `folder` to one with mask pictures")
        elif "random" not in self.facts():
            message = (
                "with one mask the same pixels are hidden in every picture, so nothing can be learnt there"
            )
            yield Complaint("folder", message, "add masks, or set mirror: true", warning=True)


def _several(folder: Path) -> bool:
    """Whether there is more than one mask; of a folder that is not there, nothing else is known."""
    from ambientkit.pictures import SUFFIXES, is_left_out

    if not folder.is_dir():
        return True
    found = looked_at = 0
    for path in islice(folder.rglob("*"), MOST_LOOKED_AT):
        looked_at += 1
        hidden = any(is_left_out(part) for part in path.relative_to(folder).parts)
        found += path.suffix.lower() in SUFFIXES and not hidden
        if found > 1:
            return True
    return looked_at == MOST_LOOKED_AT
