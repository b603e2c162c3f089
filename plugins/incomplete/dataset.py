"""Incomplete pictures as a data set; what was hidden is wiped before anything else sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Dataset, Measured
from ambientkit.errors import DataError

from . import IncompleteOptions
from .arrays import read_arrays
from .files import read_folder
from .samples import Samples


class IncompletePictures(Dataset):
    """Pictures with holes. `data_masks`, bool (N, 1, H, W), is True where they are hidden."""

    arrives_measured = True

    def __init__(self, samples: Samples, dilate: int) -> None:
        self.data_masks = dilated(samples.hidden, dilate)
        self._y = samples.images.masked_fill(self.data_masks, 0)
        self.keys = samples.keys
        self.skipped = samples.skipped
        self.image_shape = tuple(self._y.shape[1:])
        self.fingerprint = _fingerprint(self._y, self.data_masks, self.keys)

    def measured(self, indices: Sequence[int]) -> Measured:
        """y (n, C, H, W), uint8 or float32 in [-1, 1], 0 where hidden; observed (n, 1, H, W)."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return Measured(self._y[chosen], ~self.data_masks[chosen])


def open_incomplete(options: IncompleteOptions, size: tuple[int, int] | None) -> IncompletePictures:
    """Read, check and dilate. Raises DataError that names the file or picture at fault."""
    source = options.source.expanduser()
    if not source.exists():
        raise DataError(f"{source.absolute()}: there is no such file or folder; set data.source.source")
    samples = read_arrays(source, options) if options.from_arrays else read_folder(source, options)
    _require_size(samples, size)
    pictures = IncompletePictures(samples, options.dilate)
    _require_holes(str(source), pictures, options)
    return pictures


def dilated(hidden: Tensor, pixels: int) -> Tensor:
    """`hidden`, bool (n, 1, H, W), grown by `pixels` in the Chebyshev distance."""
    if not pixels:
        return hidden
    size = 2 * pixels + 1
    rows = functional.max_pool2d(hidden.float(), (size, 1), stride=1, padding=(pixels, 0))
    return functional.max_pool2d(rows, (1, size), stride=1, padding=(0, pixels)).bool()


def _require_size(samples: Samples, size: tuple[int, int] | None) -> None:
    height, width = samples.images.shape[2:]
    if size is not None and size != (height, width):
        raise DataError(
            f"data.image_size is {size[0]} x {size[1]}, but the incomplete pictures are {height} x {width}: "
            "resizing would mix hidden pixels into known ones; leave data.image_size out"
        )


def _require_holes(source: str, pictures: IncompletePictures, options: IncompleteOptions) -> None:
    hidden = pictures.data_masks.flatten(1)
    if not bool(hidden.any()):
        remedy = "are the masks right?"
        if options.key_colour is not None:
            remedy = f"no pixel is {options.key_colour}; raise `tolerance`, or see which it is"
        raise DataError(f"{source}: nothing is hidden in any picture; {remedy}")
    whole = hidden.all(1).nonzero().flatten().tolist()
    if whole:
        raise DataError(
            f"{source}: {len(whole)} pictures are hidden altogether, {pictures.keys[whole[0]]} for one; "
            "leave them out, lower `dilate`, or see whether the masks are inverted"
        )


def _fingerprint(y: Tensor, hidden: Tensor, keys: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{y.dtype} {tuple(y.shape)}".encode())
    for key in keys:
        digest.update(key.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(y.contiguous().numpy().data)
    digest.update(hidden.contiguous().numpy().data)
    return digest.hexdigest()
