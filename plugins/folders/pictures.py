"""One picture file's pixels in the shape that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ambientkit.pictures import flatten, opened, shrink, to_array, upright

Size = tuple[int, int]
Box = tuple[int, int, int, int]
FINER = 3
"""A JPEG is decoded at so many times the wanted size at least, which costs half a level on average."""


@dataclass(frozen=True)
class Framing:
    """What is cut out of a picture, and what becomes of it.

    First the central `fraction` of the height and of the width, or as many pixels (H, W); of that the
    largest central square (`square`), the largest central part of the shape of `size` (`center`) or all
    (`none`); that is resized to `size` (H, W), or left as it is where that is None.
    """

    crop: Literal["none", "square", "center"] = "none"
    fraction: float | Size = 1.0
    size: Size | None = None
    channels: Literal[1, 3] = 3

    def cut(self, height: int, width: int) -> Size:
        """(H, W) of the part that is cut out of a picture of this size."""
        tall, wide = self._central(height, width)
        if self.crop == "none" or (self.crop == "center" and self.size is None):
            return tall, wide
        shape = (1, 1) if self.crop == "square" or self.size is None else self.size
        scale = min(tall / shape[0], wide / shape[1])
        return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))

    def _central(self, height: int, width: int) -> Size:
        if isinstance(self.fraction, tuple):
            return min(height, self.fraction[0]), min(width, self.fraction[1])
        return max(1, round(height * self.fraction)), max(1, round(width * self.fraction))

    def box(self, height: int, width: int) -> Box:
        """The central part as PIL has it: left, top, right, bottom."""
        tall, wide = self.cut(height, width)
        top, left = (height - tall) // 2, (width - wide) // 2
        return left, top, left + wide, top + tall

    def spare(self, height: int, width: int) -> float:
        """How many times smaller a picture of this size may be decoded."""
        if self.size is None:
            return 1.0
        tall, wide = self.cut(height, width)
        return min(tall / self.size[0], wide / self.size[1]) / FINER


def load_pixels(path: Path, framing: Framing, content: bytes | None = None) -> NDArray[np.uint8]:
    """Pixels (C, H, W), framed; of `content`, where that is given. Raises DataError that names the file."""
    picture, natural = _decoded(path, framing, content)
    left, top, right, bottom = framing.box(*natural)
    if framing.size is None:
        return to_array(picture.crop((left, top, right, bottom)))
    height, width = framing.size
    part = picture.width / natural[1]
    box = (part * left, part * top, part * right, part * bottom)
    return to_array(picture.resize((width, height), Image.Resampling.BICUBIC, box=box))


def sound_size(path: Path, framing: Framing, content: bytes | None = None) -> Size:
    """(H, W) as it is shown of a file whose pixels can be decoded. Raises UnreadableError that names it."""
    return _decoded(path, framing, content)[1]


def _decoded(path: Path, framing: Framing, content: bytes | None) -> tuple[Image.Image, Size]:
    """The picture, RGB or grey, smaller than its size (H, W) where that spares time."""
    with opened(path, content) as picture:
        smaller = shrink(picture, framing.spare)
        flat = flatten(upright(picture), framing.channels)
        return flat, (smaller * flat.height, smaller * flat.width)
