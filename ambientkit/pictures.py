"""Picture files, decoded: one reader for data sets, masks and pictures to complete. Imports no torch.

What becomes of files that are odd or broken is told on the page `docs/data.md`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ambientkit.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
MOST_MEGAPIXELS = 80
"""Pictures with more are refused before they are decoded: a few kilobytes can unfold to gigabytes."""
GREYS = (32, 223)
"""Levels between are neither black nor white, even after JPEG."""
MOST_GREY = 0.02
"""Share of a mask that may be grey, for soft edges."""
HALF_OPAQUE = 128
"""Pixels with less alpha count as transparent."""
MACS_OWN = "__MACOSX"
"""Folder of a Mac's archives for what belongs to the files beside it: no pictures, though they end so."""
ORIENTATION = 0x0112
JPEGS = frozenset({"JPEG", "MPO"})
DEEP_MODES = ("I", "F")
"""How modes of more than 8 bits begin."""
PNG_BITS = 24
"""Place of the bit depth in a PNG file."""
TIFF_BITS = 258
TIFF_SIDES = (256, 257)
SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I"})


class UnreadableError(DataError):
    """A file that cannot be decoded as a picture; what `on_bad_image: skip` leaves out."""


def unreadable(path: Path, error: Exception) -> UnreadableError:
    """The error for a file that cannot be decoded, with the reason."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        reason = f"has far more than {MOST_MEGAPIXELS} megapixels, the most that are read; make it smaller"
        return UnreadableError(f"{path}: {reason}")
    if isinstance(error, FileNotFoundError):
        return UnreadableError(f"{path}: there is no such file")
    if isinstance(error, UnidentifiedImageError):
        return UnreadableError(f"{path}: cannot be read as a picture: it is none, or of a kind unknown here")
    return UnreadableError(f"{path}: cannot be read as a picture: {str(error) or type(error).__name__}")


def picture_names(root: Path, recursive: bool = True, but: Sequence[Path] = ()) -> list[str]:
    """Names of the picture files below `root`, by their ending, relative, with slashes, sorted.

    Names that begin with a dot are left out, and what lies in such folders, in `__MACOSX` or in one of `but`.
    """
    found, barred = [], {folder.resolve() for folder in but}
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if recursive and _is_entered(Path(folder, name), barred)]
        found += [
            Path(folder, name).relative_to(root).as_posix()
            for name in files
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return sorted(found)


def _is_entered(folder: Path, barred: set[Path]) -> bool:
    return not is_left_out(folder.name) and folder.resolve() not in barred


def is_left_out(folder: str) -> bool:
    """Whether nothing in a folder of this name counts as a picture."""
    return folder.startswith(".") or folder == MACS_OWN


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """The file, its header read; or the `content` of one that has that name inside an archive.

    Raises UnreadableError for that, and for whatever is raised inside.
    """
    try:
        if content is None:
            _require_file(path)
        with Image.open(path if content is None else BytesIO(content)) as picture:
            _require_sane(picture)
            yield picture
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        raise unreadable(path, error) from error


def picture_size(path: Path) -> tuple[int, int]:
    """(H, W) as it will be shown, from the header alone. Raises UnreadableError."""
    with opened(path) as picture:
        return shown_size(picture)


def shown_size(picture: Image.Image) -> tuple[int, int]:
    """(H, W) as it will be shown, of a picture whose header was read."""
    # the base class's own method, for PNG's would decode the picture
    turned = Image.Image.getexif(picture).get(ORIENTATION, 1) in {5, 6, 7, 8}
    width, height = picture.size
    if picture.format == "TIFF":  # newer Pillows have turned its size already, older ones not
        width, height = (int(getattr(picture, "tag_v2", {}).get(tag, 1)) for tag in TIFF_SIDES)
    return (width, height) if turned else (height, width)


def read_picture(path: Path, content: bytes | None = None) -> Image.Image:
    """The decoded picture, upright, in its own mode; of an animation the first. Raises UnreadableError."""
    with opened(path, content) as picture:
        return upright(picture)


def upright(picture: Image.Image) -> Image.Image:
    """Decode an opened picture and turn it as its EXIF orientation says."""
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    return picture


def shrink(picture: Image.Image, spare: Callable[[int, int], float]) -> int:
    """Have an opened JPEG decoded so many times smaller: 8, 4 or 2 times, or 1.

    It is no more than `spare` says of its (H, W). That takes a fraction of the time. Sizes that do not divide
    stay, so that no edge is made up.
    """
    if picture.format not in JPEGS:
        return 1  # and the header is not asked how it is turned: of a PNG it may not know yet
    factor, (width, height) = spare(*shown_size(picture)), picture.size
    for part in (8, 4, 2):
        if part <= factor and width % part == height % part == 0:
            picture.draft(None, (width // part, height // part))
            return width // picture.width
    return 1


def read_flat(path: Path, channels: int, content: bytes | None = None) -> Image.Image:
    """The picture with 8 bits, RGB or grey, laid over white where it is transparent.

    Raises UnreadableError, for floating-point pictures too: nobody knows their range.
    """
    return flattened(path, read_picture(path, content), channels)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W), True where white, from 128 on of 8 bits; the one reader of masks.

    Raises DataError for what is no picture, is transparent in places, has more than 2 % of grey, or is white
    in a range of its own: values 0 and 1, or 8 bits kept in 16.
    """
    picture = read_picture(path)
    levels = np.asarray(flattened(path, picture, 1))
    _require_opaque_mask(path, picture)
    _require_white(path, picture, levels)
    grey = float(((levels > GREYS[0]) & (levels < GREYS[1])).mean())
    if grey > MOST_GREY:
        raise DataError(
            f"{path}: {grey:.0%} of it is neither black nor white, so it is no mask; make it black and "
            "white, or move it elsewhere"
        )
    white: NDArray[np.bool_] = levels >= 128
    return white


def _require_opaque_mask(path: Path, picture: Image.Image) -> None:
    """What is hidden could be told by the colour or by the alpha, and nobody knows by which."""
    if is_transparent(picture):
        raise DataError(
            f"{path}: the mask is transparent in places, so it tells what is hidden in two ways; save it "
            "black and white, without an alpha channel"
        )


def _require_white(path: Path, picture: Image.Image, levels: NDArray[np.uint8]) -> None:
    """A mask whose white is no white would count as empty."""
    if picture.mode in SIXTEEN_BITS:
        most = int(np.asarray(picture).max())
        if 0 < most <= 255:
            raise DataError(
                f"{path}: the mask has 16 bits and no value above {most}, so all of it is black; save it "
                "with 8 bits, 0 and 255"
            )
    elif int(levels.max()) == 1:
        raise DataError(f"{path}: the mask has only the values 0 and 1; multiply it by 255")


def is_transparent(picture: Image.Image) -> bool:
    """Whether any pixel of a decoded picture is not wholly opaque."""
    if not picture.has_transparency_data:
        return False
    return picture.convert("RGBA").getchannel("A").getextrema()[0] != 255


def shows_through(path: Path) -> bool:
    """Whether a pixel is transparent by more than half. Raises UnreadableError."""
    with opened(path) as picture:
        if not picture.has_transparency_data or picture.mode in SIXTEEN_BITS:
            return False  # known from the header: they are not decoded; of 16 bits no alpha is read
        return bool((np.asarray(picture.convert("RGBA").getchannel("A")) < HALF_OPAQUE).any())


def converted(path: Path, picture: Image.Image, mode: str) -> Image.Image:
    """The picture in another mode. Raises UnreadableError where there is no way to it."""
    try:
        return picture.convert(mode)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def flattened(path: Path, picture: Image.Image, channels: int) -> Image.Image:
    """`flatten` of what was read from a file. Raises UnreadableError where it cannot be."""
    try:
        return flatten(picture, channels)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def has_deep_channels(path: Path) -> bool:
    """Whether a channel has more than 8 bits, by the file's header. Raises UnreadableError.

    The mode of a decoded picture does not tell: of colours the decoder gives the upper 8 bits in silence.
    """
    with opened(path) as picture:
        return picture.mode.startswith(DEEP_MODES) or _bits(path, picture) > 8


def _bits(path: Path, picture: Image.Image) -> int:
    """The most that a channel has in a file whose header was read; 8 for kinds that have no more."""
    if picture.format == "PNG":
        with path.open("rb") as file:
            return file.read(PNG_BITS + 1)[PNG_BITS]
    if picture.format == "TIFF":
        return int(np.max(getattr(picture, "tag_v2", {}).get(TIFF_BITS, 8)))
    tiles = getattr(picture, "tile", ())
    if (
        picture.format == "PPM" and tiles and isinstance(tiles[0][3], tuple)
    ):  # by place: Pillow 10 has no names
        return int(tiles[0][3][-1]).bit_length()  # the value of white
    return 8


def _require_file(path: Path) -> None:
    """A pipe or a device would be waited for without end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no ordinary file")


def _require_sane(picture: Image.Image) -> None:
    if picture.width * picture.height > MOST_MEGAPIXELS * 1_000_000:
        raise ValueError(
            f"{picture.width} x {picture.height} is more than {MOST_MEGAPIXELS} megapixels; make it smaller"
        )


def flatten(picture: Image.Image, channels: int) -> Image.Image:
    """8 bits, RGB or grey, without alpha: what is transparent shows white behind it.

    Raises ValueError for floating-point pictures, whose range is not known.
    """
    picture = _in_eight_bits(picture)
    mode = "L" if channels == 1 else "RGB"
    if not picture.has_transparency_data:
        return picture if picture.mode == mode else picture.convert(mode)
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


def to_array(picture: Image.Image) -> NDArray[np.uint8]:
    """(C, H, W) of an RGB or grey picture."""
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
