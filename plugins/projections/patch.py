"""A crop from a random place, which is forgotten."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta


class ExtractPatch(Measurement):
    """y = the `size` (h, w) pixels of x below and right of a random corner (AmbientGAN, extract-patch).

    With `fill`, in [-1, 1], y has the picture's size and holds the patch in its middle, (H - h) // 2 rows
    from the top and (W - w) // 2 columns from the left, and `fill` elsewhere; with None, y is the patch
    alone.

    Offsets are uniform over 0..H-h and 0..W-w, both ends included: AmbientGAN's code leaves the last one
    out, so its last row and column are never measured. The place is no part of y and not known, hence no
    `observed`.
    """

    def __init__(self, size: tuple[int, int], fill: float | None = -1.0) -> None:
        self.size = size
        self.surround = fill
        self.symmetric = frozenset({"flip"} if fill is None else ())

    def measured_shape(self, image_shape: Shape) -> Shape:
        """(C, H, W) with `fill`, else (C, h, w)."""
        return image_shape if self.surround is not None else (image_shape[0], *self.size)

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"corner": int64 (n, 2)}, row first. Raises DataError where the patch does not fit."""
        room = [side - patch + 1 for side, patch in zip(image_shape[-2:], self.size, strict=True)]
        if min(room) < 1:
            (tall, wide), (height, width) = self.size, image_shape[-2:]
            raise DataError(
                f"a patch of {tall}x{wide} does not fit into a picture of {height}x{width}; "
                "use a smaller `size` or larger pictures"
            )
        drawn = [torch.randint(r, (n,), generator=generator, device=generator.device) for r in room]
        return {"corner": torch.stack(drawn, dim=-1)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """(n, C, H, W) with `fill`, else (n, C, h, w)."""
        patches = self._patches(images, theta["corner"])
        return patches if self.surround is None else self._padded(patches, tuple(images.shape[-2:]))

    def _patches(self, images: Tensor, corner: Tensor) -> Tensor:
        """(n, C, h, w), gathered by each pixel's number in its picture."""
        tall, wide = self.size
        row = corner[:, :1] + torch.arange(tall, device=corner.device)
        column = corner[:, 1:] + torch.arange(wide, device=corner.device)
        number = row.unsqueeze(-1) * images.shape[-1] + column.unsqueeze(-2)  # (n, h, w)
        wanted = number.flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, wanted).reshape(*images.shape[:2], *self.size)

    def _padded(self, patches: Tensor, size: tuple[int, ...]) -> Tensor:
        """The patches in the middle of pictures of `size`."""
        spare = [side - patch for side, patch in zip(size, self.size, strict=True)]
        (top, bottom), (left, right) = ((room // 2, room - room // 2) for room in spare)
        return functional.pad(patches, [left, right, top, bottom], value=self.surround)
