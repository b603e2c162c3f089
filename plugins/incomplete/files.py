"""Incomplete pictures from a folder, with masks beside them or within."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import numpy as np
import torch
from numpy.typing import NDArray

from ambientkit.errors import DataError
from ambientkit.pictures import (
    SIXTEEN_BITS,
    UnreadableError,
    converted,
    read_flat,
    read_mask,
    read_picture,
    to_array,
)

from ..folders.dataset import find_pictures, in_threads
from . import IncompleteOptions
from .samples import Samples, near_colour

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Reader = Callable[[Path], tuple[Pixels, Mask]]


def read_folder(source: Path, options: IncompleteOptions) -> Samples:
    """Pictures of a folder and what is hidden of them. Raises DataError that names the file at fault."""
    names = find_pictures(source, option="data.source.source")
    if options.masks is not None:
        names = _without_masks(source, names, options.masks.expanduser())
        _require_own_masks(source, names)
    reader = _reader(source, options)
    work = _if_sound(reader) if options.on_bad_image == "skip" else reader
    found = list(in_threads(work, [source / name for name in names]))
    skipped = [name for name, sample in zip(names, found, strict=True) if sample is None]
    names = [name for name, sample in zip(names, found, strict=True) if sample is not None]
    read = [sample for sample in found if sample is not None]
    if not read:
        raise DataError(f"{source}: none of its {len(skipped)} pictures can be read, {skipped[0]} for one")
    _require_one_shape(source, names, [pixels for pixels, _ in read])
    images = np.stack([pixels for pixels, _ in read])
    if bool((images == images[:, :1]).all()):
        images = images[:, :1]
    hidden = np.stack([mask for _, mask in read])[:, None]
    return Samples(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(hidden), names, skipped)


def _without_masks(source: Path, names: list[str], masks: Path) -> list[str]:
    """Leave out the masks themselves where their folder lies below the pictures'."""
    folder, root = masks.resolve(), source.resolve()
    if folder == root:
        raise DataError(f"{masks}: `masks` must be another folder than the pictures'")
    left = [name for name in names if folder not in (root / name).parents]
    if not left:
        raise DataError(f"{source}: no pictures there but the masks")
    return left


def _reader(source: Path, options: IncompleteOptions) -> Reader:
    if options.alpha:
        return _with_alpha
    if options.key_colour is not None:
        colour, tolerance = options.key_colour, options.tolerance
        return lambda path: _with_key_colour(path, colour, tolerance)
    assert options.masks is not None  # the options' complaints see to it
    folder = options.masks.expanduser()
    masks = _by_name(folder, find_pictures(folder, option="data.source.masks"))
    return lambda path: _with_mask(path, folder, masks, source, options.invert)


def _if_sound(read: Reader) -> Callable[[Path], tuple[Pixels, Mask] | None]:
    """`read`, and None for a picture that cannot be decoded or whose mask cannot."""

    def try_to_read(path: Path) -> tuple[Pixels, Mask] | None:
        try:
            return read(path)
        except UnreadableError:
            return None

    return try_to_read


def _with_alpha(path: Path) -> tuple[Pixels, Mask]:
    picture = read_picture(path)
    if not picture.has_transparency_data:
        raise DataError(f"{path}: has no alpha channel; use `masks` or `key_colour`, or save it with alpha")
    if picture.mode in SIXTEEN_BITS:
        raise DataError(f"{path}: has 16 bits, whose alpha is not read; convert it to 8 bits, or use `masks`")
    whole = converted(path, picture, "RGBA")
    return to_array(whole.convert("RGB")), np.asarray(whole.getchannel("A")) < 128


def _with_key_colour(path: Path, colour: str, tolerance: int) -> tuple[Pixels, Mask]:
    pixels = to_array(read_flat(path, 3))
    return pixels, near_colour(pixels, colour, tolerance)


def _with_mask(
    path: Path, folder: Path, masks: dict[str, list[Path]], source: Path, invert: bool
) -> tuple[Pixels, Mask]:
    pixels, mask_path = to_array(read_flat(path, 3)), _mask_of(path, folder, masks, source)
    mask = read_mask(mask_path)
    if mask.shape != pixels.shape[1:]:
        raise DataError(
            f"{mask_path}: the mask is {mask.shape[0]} x {mask.shape[1]}, its picture {path} is "
            f"{pixels.shape[1]} x {pixels.shape[2]} (height x width)"
        )
    return pixels, mask != invert


def _by_name(folder: Path, names: list[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for name in names:
        found.setdefault(_stem(name), []).append(folder / name)
    return found


def _stem(name: str) -> str:
    """A name without suffix, its accents composed: some systems write them as characters of their own."""
    return normalize("NFC", PurePosixPath(name).with_suffix("").as_posix())


def _mask_of(path: Path, folder: Path, masks: dict[str, list[Path]], source: Path) -> Path:
    stem = _stem(path.relative_to(source).as_posix())
    fitting = masks.get(stem, [])
    if len(fitting) != 1:
        there = f"none in {folder}, where there is {next(iter(masks))!r}"
        what = " and ".join(map(str, fitting)) or there
        raise DataError(f"{path}: needs one mask of the name {stem!r}, found {what}")
    return fitting[0]


def _require_own_masks(source: Path, names: list[str]) -> None:
    """Masks are found by the name without suffix: two pictures of one such name would share a mask."""
    for pictures in _by_name(source, names).values():
        if len(pictures) > 1:
            raise DataError(
                f"{pictures[0]}: {pictures[1].name} has the same name but for the suffix, so one mask would "
                "serve both; rename one of them, and its mask, or leave it out"
            )


def _require_one_shape(source: Path, names: list[str], pictures: list[Pixels]) -> None:
    wanted = pictures[0].shape[1:]
    for name, pixels in zip(names, pictures, strict=True):
        if pixels.shape[1:] != wanted:
            raise DataError(
                f"{source}: incomplete pictures must have one size: {names[0]} is {wanted[0]} x {wanted[1]}, "
                f"{name} is {pixels.shape[1]} x {pixels.shape[2]} (height x width); crop them, for resizing "
                "would mix hidden pixels into known ones"
            )
