"""Random brush strokes, drawn exactly: pixels are hidden whose centres are within half a brush of a line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ambientkit import MaskingMeasurement
from ambientkit.interfaces import Shape, Theta

TINY = 1e-6  # stands in for a slope of 0, and turns what would divide by it into a distant place


@dataclass(frozen=True)
class Brush:
    """How strokes are drawn; the fields are the options of `free_form`, angles in radians."""

    strokes: tuple[int, int] = (1, 3)
    vertices: tuple[int, int] = (4, 11)
    width: tuple[float, float] = (0.047, 0.156)
    length: float = 0.125
    angle: float = math.radians(72)
    angle_spread: float = math.radians(24)


class FreeForm(MaskingMeasurement):
    """Brush strokes hide pixels: polylines with round ends (Yu et al., ICCV 2019, free-form masks).

    Of a stroke's segments, the 1st, 3rd, ... turn away from its direction by about `angle`, the 2nd,
    4th, ... to the other side, as in the authors' code. Different from it: the direction of a stroke is
    uniform, where theirs is along the rows; a stroke that would leave the picture is reflected, where
    theirs runs along the border; sizes are relative, where theirs are pixels of 256; and no pixel is
    hidden that the brush's line does not cover, where theirs draws rounded coordinates.
    """

    symmetric = frozenset({"flip"})

    def __init__(self, brush: Brush | None = None, fill: float = 1.0) -> None:
        self.brush = brush or Brush()
        self.fill = fill

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"vertices": (n, strokes, vertices, 2), "width": (n, strokes)}, float32, in pixels, rows first.

        Pixel centres are whole numbers. Strokes that are not drawn have width 0, and vertices that are
        not are the last one again.
        """
        height, width = image_shape[-2:]
        device, most = generator.device, self.brush.strokes[1]
        sides = torch.stack([torch.full((), float(side), device=device) for side in (height, width)])
        steps = self._steps(n, math.hypot(height, width), generator)
        start = torch.rand(n, most, 1, 2, generator=generator, device=device) * sides
        path = torch.cat([start, start + steps.cumsum(2)], 2)
        path = sides - (path.remainder(2 * sides) - sides).abs()  # reflected at 0 and at each side
        used = self._drawn(self.brush.vertices, (n, most), generator)
        index = torch.arange(self.brush.vertices[1], device=device).minimum(used.unsqueeze(-1) - 1)
        vertices = path.gather(2, index.unsqueeze(-1).expand_as(path)) - 0.5
        return {"vertices": vertices, "width": self._widths(n, min(height, width), generator)}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), False under the strokes."""
        vertices, radius = theta["vertices"], theta["width"].unsqueeze(-1) / 2
        rows = torch.arange(image_shape[-2], device=vertices.device, dtype=vertices.dtype)
        spans = torch.cat(
            [
                discs(vertices, radius, rows).flatten(2, 3),
                bars(vertices[:, :, :-1], vertices[:, :, 1:], radius, rows).flatten(2, 3),
            ],
            2,
        )
        return ~painted(spans, image_shape[-1]).unsqueeze(1)

    def _steps(self, n: int, diagonal: float, generator: torch.Generator) -> Tensor:
        """Segments (n, strokes, vertices - 1, 2) from one vertex to the next."""
        brush, device = self.brush, generator.device
        shape = (n, brush.strokes[1], brush.vertices[1] - 1)
        heading, hand = torch.rand(2, *shape[:2], 1, generator=generator, device=device)
        spread = torch.rand(shape, generator=generator, device=device) * 2 - 1
        turn = brush.angle + brush.angle_spread * spread
        side = 1 - 2 * (torch.arange(shape[2], device=device) % 2)
        angle = 2 * math.pi * heading + turn * side * torch.where(hand < 0.5, 1, -1)
        mean = brush.length * diagonal
        length = mean * (1 + 0.5 * torch.randn(shape, generator=generator, device=device)).clamp(0, 2)
        return torch.stack([angle.sin(), angle.cos()], -1) * length.unsqueeze(-1)

    def _widths(self, n: int, shorter: int, generator: torch.Generator) -> Tensor:
        """Brushes (n, strokes) in pixels, 0 where there is no stroke."""
        thin, wide = self.brush.width
        most = self.brush.strokes[1]
        drawn = torch.rand(n, most, generator=generator, device=generator.device)
        widths = ((thin + (wide - thin) * drawn) * shorter).clamp(min=1)
        count = self._drawn(self.brush.strokes, (n, 1), generator)
        return widths * (torch.arange(most, device=generator.device) < count)

    @staticmethod
    def _drawn(bounds: tuple[int, int], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randint(bounds[0], bounds[1] + 1, shape, generator=generator, device=generator.device)


def discs(centre: Tensor, radius: Tensor, rows: Tensor) -> Tensor:
    """Where discs cut rows: (2, n, strokes, V, H), the first and last place; last < first where they do not.

    `centre` (n, strokes, V, 2), `radius` (n, strokes, 1), `rows` (H,).
    """
    down, along = (side.unsqueeze(-1) for side in centre.unbind(-1))
    room = radius.unsqueeze(-1).square() - (rows - down).square()
    half = room.clamp(min=0).sqrt()
    return _spans(along - half, along + half, (room >= 0) & (radius > 0).unsqueeze(-1))


def bars(start: Tensor, end: Tensor, radius: Tensor, rows: Tensor) -> Tensor:
    """As `discs`, for what lies within `radius` of a segment and between its ends (no round ends).

    A place x of a row is in it where |across| <= radius and 0 <= along <= length, both linear in x.
    """
    step = end - start
    length = step.square().sum(-1, keepdim=True).sqrt()
    down, right = (step / length.clamp(min=TINY)).unbind(-1)
    row = rows - start[..., :1]  # (n, strokes, segments, H)
    down, right = _not_zero(down).unsqueeze(-1), _not_zero(right).unsqueeze(-1)
    middle, reach = row * right / down, (radius.unsqueeze(-1) / down).abs()
    ends = torch.stack([-row * down / right, (length - row * down) / right])
    first = torch.maximum(middle - reach, ends.amin(0))
    last = torch.minimum(middle + reach, ends.amax(0))
    place = start[..., 1:]
    return _spans(first + place, last + place, (length > TINY) & (radius > 0).unsqueeze(-1))


def painted(spans: Tensor, width: int) -> Tensor:
    """Bool (n, H, W), True in any of the spans (2, n, K, H) of its row.

    Each adds 1 where it begins and takes 1 where it is past; the running sum is above 0 inside.
    """
    first = spans[0].ceil().clamp(0, width)
    past = torch.maximum((spans[1].floor() + 1).clamp(0, width), first)
    n, _, height = first.shape
    change = torch.zeros(n, width + 1, height, dtype=torch.int32, device=spans.device)
    one = torch.ones((), dtype=torch.int32, device=spans.device).expand_as(first)
    change.scatter_add_(1, first.long(), one).scatter_add_(1, past.long(), -one)
    return change[:, :width].cumsum(1, dtype=torch.int32).transpose(1, 2) > 0


def _spans(first: Tensor, last: Tensor, there: Tensor) -> Tensor:
    return torch.stack([first, torch.where(there, last, first - 2)])


def _not_zero(slope: Tensor) -> Tensor:
    return torch.where(slope.abs() < TINY, TINY, slope)
