"""The masking sensors: theta says which pixels are hidden, and is as compact as can be."""

from __future__ import annotations

import torch
from torch import Tensor

from ambientkit import Constant, Context, MaskingMeasurement, Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta


class Identity(Measurement):
    """y = x. Theta is empty, (n, 0), and is there only to say n."""

    random = False
    exact = True
    pixelwise = True
    symmetric = frozenset({"flip"})

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """Nothing to draw: {"nothing": (n, 0)}."""
        return {"nothing": torch.empty(n, 0, device=generator.device)}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """The images themselves."""
        return images

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """True everywhere, (n, 1, H, W)."""
        nothing = theta["nothing"]
        return torch.ones(len(nothing), 1, *image_shape[-2:], dtype=torch.bool, device=nothing.device)


class Windows(MaskingMeasurement):
    """`count` windows of `size` (h, w) pixels a picture; theta is their upper left corners.

    Offsets are uniform over 0..H-h and 0..W-w, both ends included: AmbientGAN's code leaves the
    last one out, which with keep-patch hides the last row and column for ever.
    """

    symmetric = frozenset({"flip"})

    def __init__(self, size: tuple[int, int], fill: float = 1.0, count: int = 1) -> None:
        self.size = size
        self.fill = fill
        self.count = count

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"corner": int64 (n, count, 2)}, rows first. Raises DataError where a window does not fit."""
        room = [side - window + 1 for side, window in zip(image_shape[-2:], self.size, strict=True)]
        if min(room) < 1:
            height, width = image_shape[-2:]
            raise DataError(
                f"a window of {self.size[0]}x{self.size[1]} does not fit into a picture of {height}x{width}; "
                "use a smaller `size` or larger pictures"
            )
        drawn = [
            torch.randint(r, (n, self.count), generator=generator, device=generator.device) for r in room
        ]
        return {"corner": torch.stack(drawn, dim=-1)}

    def inside(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), True in any of a picture's windows."""
        top, left = theta["corner"].unsqueeze(-1).unbind(-2)  # (n, count, 1) each
        rows = between(top, self.size[0], image_shape[-2])
        columns = between(left, self.size[1], image_shape[-1])
        return (rows.unsqueeze(-1) & columns.unsqueeze(-2)).any(1, keepdim=True)


def between(start: Tensor, length: Tensor | int, side: int) -> Tensor:
    """Bool (..., side), True at start..start+length-1; start and length (..., 1)."""
    place = torch.arange(side, device=start.device)
    return (place >= start) & (place < start + length)


class BlockPatch(Windows):
    """The windows are hidden (AmbientGAN, sec. 4, block-patch)."""

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), False in the blocks."""
        return ~self.inside(theta, image_shape)


class KeepPatch(Windows):
    """Only the window is seen (AmbientGAN, sec. 4, keep-patch)."""

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), True in the window."""
        return self.inside(theta, image_shape)


class MasksOfData(MaskingMeasurement):
    """Holes drawn uniformly from `hidden`, bool (N, 1, H, W), independently of the picture.

    The masks are those that the data came with; `mask_from_data` draws from a folder of mask pictures.
    """

    def __init__(self, hidden: Tensor, fill: float = 1.0) -> None:
        self.hidden = Constant(hidden)
        self.fill = fill

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"index": int64 (n,)} into the masks. Raises DataError where pictures have another size."""
        if tuple(self.hidden.shape[-2:]) != tuple(image_shape[-2:]):
            have, want = ("x".join(map(str, s)) for s in (self.hidden.shape[-2:], image_shape[-2:]))
            raise DataError(
                f"the data's masks are {have}, but the pictures are {want}; use pictures of {have}"
            )
        index = torch.randint(len(self.hidden), (n,), generator=generator, device=generator.device)
        return {"index": index}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), False where the drawn mask hides."""
        index = theta["index"]
        return ~self.hidden.on(index.device)[index]


def masks_in(context: Context) -> Tensor:
    """The data's masks. Raises DataError where the data bring none."""
    if context.data_masks is None or not len(context.data_masks):
        raise DataError(
            "masks_of_data: these data bring no masks; use it with data that arrive measured "
            "(such as kind: incomplete), or use kind: block_patch"
        )
    return context.data_masks
