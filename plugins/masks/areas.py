"""Masking sensors of one simple area a picture: a band, an observed square, a half."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ambientkit import MaskingMeasurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta

from .area_options import Axis, Side, band_pixels
from .sensors import between

SPAN = 1 << 62  # so large that its remainders by a picture's side are uniform


class Band(MaskingMeasurement):
    """A band from edge to edge is hidden (UAIR, Pajot et al., ICLR 2019, sec. 4: height 0.3, full width).

    `height` is its thickness, a fraction of the picture's side or pixels. Every offset that keeps it in
    the picture is as likely, both ends included. `axis` "rows" hides rows, "columns" columns.
    """

    symmetric = frozenset({"flip"})

    def __init__(self, height: float | int = 0.3, axis: Axis = "rows", fill: float = 1.0) -> None:
        self.height = height
        self.axis = axis
        self.fill = fill

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"offset": int64 (n,)}: the first hidden line. Raises DataError where a band does not fit."""
        side, thick = self._side(image_shape), band_pixels(self.height, self._side(image_shape))
        if thick > side:
            raise DataError(
                f"a band of {thick} {self.axis} does not fit into {side} {self.axis}; "
                "use a smaller `height` or larger pictures"
            )
        return {"offset": torch.randint(side - thick + 1, (n,), generator=generator, device=generator.device)}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), False in the band."""
        side = self._side(image_shape)
        lines = ~between(theta["offset"][:, None], band_pixels(self.height, side), side)[:, None]
        across = lines.unsqueeze(-1) if self.axis == "rows" else lines.unsqueeze(-2)
        return across.expand(-1, -1, *image_shape[-2:]).contiguous()

    def _side(self, image_shape: Shape) -> int:
        return image_shape[-2 if self.axis == "rows" else -1]


class ObservedSquare(MaskingMeasurement):
    """Only one window is seen (MisGAN, Li, Jiang, Marlin, ICLR 2019, sec. 4: 14 of 28, 32 of 64).

    Its side is drawn uniformly from `smallest`..`largest` pixels, both included, then its place
    uniformly from all that keep it in the picture. `rectangle`: height and width are drawn on their
    own, MisGAN's variable-size rectangle.
    """

    symmetric = frozenset({"flip"})

    def __init__(self, smallest: int, largest: int, rectangle: bool = False, fill: float = 0.0) -> None:
        self.smallest = smallest
        self.largest = largest
        self.rectangle = rectangle
        self.fill = fill

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"corner": int64 (n, 2), "side": int64 (n, 2)}, rows first.

        Raises DataError where the largest window does not fit.
        """
        height, width = image_shape[-2:]
        if self.largest > min(height, width):
            raise DataError(
                f"a square of {self.largest} does not fit into a picture of {height}x{width}; "
                "use a smaller `size` or larger pictures"
            )
        device = generator.device
        many = (n, 2 if self.rectangle else 1)
        side = torch.randint(self.smallest, self.largest + 1, many, generator=generator, device=device)
        side = side.expand(n, 2).contiguous()
        places = torch.stack([height + 1 - side[:, 0], width + 1 - side[:, 1]], 1)
        return {
            "corner": torch.randint(SPAN, (n, 2), generator=generator, device=device) % places,
            "side": side,
        }

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), True in the window."""
        (top, left), (tall, wide) = (theta[key].unsqueeze(-1).unbind(1) for key in ("corner", "side"))
        rows, columns = between(top, tall, image_shape[-2]), between(left, wide, image_shape[-1])
        return (rows.unsqueeze(-1) & columns.unsqueeze(-2)).unsqueeze(1)


class Half(MaskingMeasurement):
    """One half of the picture is hidden, on one of `sides`, drawn uniformly.

    A hidden half of an odd side leaves the middle line seen. With one side nothing is random, and what
    lies there is never seen in any picture.
    """

    def __init__(self, sides: Sequence[Side], fill: float = 1.0) -> None:
        self.sides = tuple(sides)
        self.fill = fill
        self.random = len(self.sides) > 1
        mirrored = len({"left", "right"}.intersection(self.sides)) != 1
        self.symmetric = frozenset({"flip"}) if mirrored else frozenset()

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"side": int64 (n,)} into `sides`. Raises DataError for pictures that have no half."""
        if min(image_shape[-2:]) < 2:
            height, width = image_shape[-2:]
            raise DataError(f"a picture of {height}x{width} has no half; use pictures of 2x2 or more")
        device = generator.device
        return {"side": torch.randint(len(self.sides), (n,), generator=generator, device=device)}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), False in the hidden half."""
        height, width = image_shape[-2:]
        rows = torch.arange(height, device=theta["side"].device).view(-1, 1)
        columns = torch.arange(width, device=rows.device)
        seen = {
            "left": columns >= width // 2,
            "right": columns < width - width // 2,
            "top": rows >= height // 2,
            "bottom": rows < height - height // 2,
        }
        masks = torch.stack([seen[side].expand(1, height, width) for side in self.sides])
        return masks[theta["side"]]
