"""One picture file: its size, and its pixels in the shape that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ambientkit.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
MOST_PIXELS = 89_478_485
"""Pictures with more are refused: a small file that unfolds to so much is more often an attack."""
ORIENTATION = 0x0112
SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I"})

Size = tuple[int, int]
Box = tuple[int, int, int, int]


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


def picture_size(path: Path) -> Size:
    """(H, W) as it will be shown, from the header alone. Raises DataError that names the file."""
    try:
        with Image.open(path) as picture:
            _require_sane(picture)
            # the base class's own method, for PNG's would decode the picture
            turned = Image.Image.getexif(picture).get(ORIENTATION, 1) in {5, 6, 7, 8}
            return (picture.width, picture.height) if turned else (picture.height, picture.width)
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        raise unreadable(path, error) from error


def read_picture(path: Path) -> Image.Image:
    """The decoded picture, upright, in its own mode. Raises DataError that names the file."""
    try:
        with Image.open(path) as picture:
            _require_sane(picture)
            picture.load()
            return ImageOps.exif_transpose(picture)
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        raise unreadable(path, error) from error


def load_pixels(path: Path, framing: Framing) -> NDArray[np.uint8]:
    """Pixels (C, H, W), framed. Raises DataError that names the file."""
    picture = read_picture(path)
    try:
        flat = flatten(picture, framing.channels)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return to_array(_framed(flat, framing))


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that cannot be read, with the reason."""
    reason = str(error) or type(error).__name__
    return DataError(f"{path}: cannot be read as a picture: {reason}")


def _require_sane(picture: Image.Image) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise ValueError(f"{picture.width} x {picture.height} is more than {MOST_PIXELS} pixels")


def flatten(picture: Image.Image, channels: int) -> Image.Image:
    """8 bits, RGB or grey, without alpha: what is transparent shows white behind it.

    Raises ValueError for floating-point pictures, whose range is not known.
    """
    picture = _in_eight_bits(picture)
    mode = "L" if channels == 1 else "RGB"
    if not picture.has_transparency_data:
        return picture.convert(mode)
    opaque = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque).convert(mode)


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits")
    if picture.mode not in SIXTEEN_BITS:
        return picture
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its values do not fit 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _framed(picture: Image.Image, framing: Framing) -> Image.Image:
    box = framing.box(picture.height, picture.width)
    if framing.size is None:
        return picture.crop(box)
    height, width = framing.size
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=box)


def to_array(picture: Image.Image) -> NDArray[np.uint8]:
    """(C, H, W) of an RGB or grey picture."""
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
