"""Incomplete pictures from numpy files. Pickled objects in them are refused, for they can run code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ambientkit.errors import DataError

from ..array_files import Array, load_arrays, names_of
from . import IncompleteOptions
from .samples import Samples, near_colour


def read_arrays(source: Path, options: IncompleteOptions) -> Samples:
    """Pictures and masks of an `.npz` or `.npy` file. Raises DataError that names what is wrong."""
    arrays = load_arrays(source, "images")
    if "images" not in arrays:
        raise DataError(f"{source}: holds {names_of(arrays)}, but no `images`")
    images = _channels_first(source, arrays["images"])
    hidden = _hidden(source, arrays, images, options)
    if hidden.shape != (len(images), *images.shape[2:]):
        raise DataError(
            f"{source}: masks are {hidden.shape}, images {arrays['images'].shape}; (N, H, W) must agree"
        )
    keys = [f"{index:06d}" for index in range(len(images))]
    holes = torch.from_numpy(np.ascontiguousarray(hidden))[:, None]
    return Samples(_values(source, images, holes, options), holes, keys)


def _channels_first(source: Path, images: Array) -> Array:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise DataError(f"{source}: images are {images.shape}, not (N, H, W) or (N, H, W, C) with C 1 or 3")
    return images.transpose(0, 3, 1, 2)


def _hidden(source: Path, arrays: dict[str, Array], images: Array, options: IncompleteOptions) -> Array:
    """Bool (N, H, W) from the one mask source there is."""
    carried = [name for name in ("hidden", "observed") if name in arrays]
    if carried and options.masks is not None:
        raise DataError(f"{source}: holds {names_of(arrays)}, so `masks` would be one too many; remove it")
    if options.masks is not None:
        return np.not_equal(_mask_file(options.masks.expanduser()), options.invert)
    if len(carried) + (options.key_colour is not None) != 1:
        raise DataError(
            f"{source}: exactly one of the arrays `hidden` and `observed` and the option `key_colour` "
            f"tells what is hidden; the file holds {names_of(arrays)}"
        )
    if options.key_colour is not None:
        if images.dtype != np.uint8:
            raise DataError(f"{source}: `key_colour` needs uint8 images, these are {images.dtype}")
        return near_colour(images, options.key_colour, options.tolerance)
    return np.not_equal(_as_bool(source, carried[0], arrays[carried[0]]), carried[0] == "observed")


def _mask_file(path: Path) -> Array:
    arrays = load_arrays(path, "array")
    if "array" not in arrays or len(arrays) > 1:
        raise DataError(f"{path}: `masks` of an .npy file must be an .npy file too")
    return _as_bool(path, "the masks", arrays["array"])


def _as_bool(path: Path, name: str, mask: Array) -> Array:
    if mask.dtype != np.bool_:
        raise DataError(f"{path}: {name} must be bool, not {mask.dtype}; save it with .astype(bool)")
    return mask[..., 0] if mask.ndim == 4 and mask.shape[-1] == 1 else mask


def _values(source: Path, images: Array, hidden: Tensor, options: IncompleteOptions) -> Tensor:
    """uint8 as it is, float as float32 in [-1, 1], whatever hidden pixels held."""
    if images.dtype == np.uint8:
        if options.value_range is not None:
            raise DataError(f"{source}: images are uint8, 0..255; remove `value_range`")
        return torch.from_numpy(np.ascontiguousarray(images))
    if images.dtype.kind != "f" or options.value_range is None:
        raise DataError(
            f"{source}: images are {images.dtype}; use uint8, or float with `value_range: [black, white]`"
        )
    low, high = options.value_range
    scaled = (torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)) - low) * (2 / (high - low)) - 1
    scaled = scaled.masked_fill(hidden, 0)
    _require_range(source, scaled, options.value_range)
    return scaled


def _require_range(source: Path, scaled: Tensor, value_range: tuple[float, float]) -> None:
    outside = ~(scaled.abs() <= 1 + 1e-5).flatten(1).all(1)
    if bool(outside.any()):
        first = int(outside.nonzero()[0])
        raise DataError(
            f"{source}: picture {first} has known pixels outside `value_range` {list(value_range)}, or NaN"
        )
