"""Holes drawn from mask pictures, which are read once for each picture size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ambientkit import Constant, MaskingMeasurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta
from ambientkit.pictures import read_mask

from ..folders.dataset import find_pictures, in_threads


class MaskFromData(MaskingMeasurement):
    """One mask of a folder a picture, drawn uniformly and independently of the picture.

    Any picture size is taken; with `resize` false, that of the masks alone. All masks are kept in
    memory at the pictures' size, one byte a pixel. `mirror` mirrors half of the draws left to right.
    Raises DataError where `folder` has no pictures.
    """

    def __init__(
        self,
        folder: Path,
        hidden: Literal["white", "black"] = "white",
        resize: bool = True,
        mirror: bool = False,
        fill: float = 1.0,
    ) -> None:
        self.folder = folder
        self.hidden = hidden
        self.resize = resize
        self.mirror = mirror
        self.fill = fill
        self.symmetric = frozenset({"flip"}) if mirror else frozenset()
        self.names = find_pictures(folder, option="the sensor's `folder`")
        self.fingerprint = _digest(folder, self.names)
        self.random = mirror or len(self.names) > 1
        self._read: dict[tuple[int, int], Constant] = {}

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"index": int64 (n,), "mirrored": bool (n,)} into the sorted masks.

        Raises DataError that names a mask that cannot be used.
        """
        many, device = len(self.masks(image_shape)), generator.device
        index = torch.randint(many, (n,), generator=generator, device=device)
        turned = torch.rand(n, generator=generator, device=device) < (0.5 if self.mirror else 0)
        return {"index": index, "mirrored": turned}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), False where the drawn mask hides."""
        drawn = self.masks(image_shape, theta["index"].device)[theta["index"]]
        return ~torch.where(theta["mirrored"].view(-1, 1, 1, 1), drawn.flip(-1), drawn)

    def masks(self, image_shape: Shape, device: torch.device | None = None) -> Tensor:
        """All masks at the size of pictures, bool (N, 1, H, W), True where hidden; read when first asked for.

        Raises DataError that names the mask that cannot be read, is not black and white, has another
        size (unless they are resized) or hides everything; or says that no mask hides anything.
        """
        size = (image_shape[-2], image_shape[-1])
        if size not in self._read:
            self._read[size] = Constant(self._all(size))
        return self._read[size].on(device or torch.device("cpu"))

    def _all(self, size: tuple[int, int]) -> Tensor:
        paths = [self.folder / name for name in self.names]
        masks = np.stack(list(in_threads(lambda path: self._one(path, size), paths)))
        _require_holes(self.folder, paths, masks)
        return torch.from_numpy(masks[:, None])

    def _one(self, path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
        mask = read_mask(path) ^ (self.hidden == "black")
        if mask.shape == size:
            return mask
        if not self.resize:
            raise DataError(
                f"{path}: the mask is {mask.shape[0]} x {mask.shape[1]}, the pictures are {size[0]} x "
                f"{size[1]} (height x width); set resize: true, or save it in that size"
            )
        resized = Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST)
        return np.asarray(resized, dtype=np.bool_)


def _digest(folder: Path, names: Sequence[str]) -> str:
    """Of the masks' names and contents."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
        if (folder / name).is_file():  # what is none is refused when it is read
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _require_holes(folder: Path, paths: Sequence[Path], masks: NDArray[np.bool_]) -> None:
    remedy = "set `hidden` to the other colour, or remove it"
    for path, mask in zip(paths, masks, strict=True):
        if mask.all():
            raise DataError(f"{path}: the mask hides the whole picture; {remedy}")
    if not masks.any():
        raise DataError(f"{folder}: no mask hides anything; set `hidden` to the other colour, or add masks")
