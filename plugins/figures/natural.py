"""How natural completed pictures look; no clean picture is needed.

Each figure is a ratio of means over pictures (of the pictures that have both values): a mean of the
pictures' own ratios would be ruled by those whose surroundings are nearly flat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ambientkit import Evaluated, Metric

from .against_truth import known_mean
from .holes import grown, holes, in_unit_range, luminance, mean_over, mean_step, pairs_across, pairs_within

PARALLEL = range(3, 7)  # distance from the hole, in pixels, of the lines that its border is compared with
RING = 2  # pixels on either side of the border whose colours are compared
GAP = 4  # pixels between a hole and its virtual copy: both rings fit, or one ring and what JPEG bleeds


class _Ratio(Metric):
    """The mean of one value over that of another; 1 is natural."""

    name = "ratio"

    def parts(self, evaluated: Evaluated) -> tuple[Tensor, Tensor]:
        """The value and what it is compared with, (n,) each; NaN where a picture has none."""
        raise TypeError(f"{type(self).__name__} does not say what it compares")

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{name_here: (n,), name_reference: (n,)}, both NaN where either is."""
        here, reference = self.parts(evaluated)
        nothing = here.isnan() | reference.isnan()
        return {
            f"{self.name}_here": here.masked_fill(nothing, math.nan),
            f"{self.name}_reference": reference.masked_fill(nothing, math.nan),
        }

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """{name: ratio}, empty where no picture has one."""
        here, reference = (
            known_mean(values[f"{self.name}_here"]),
            known_mean(values[f"{self.name}_reference"]),
        )
        return {self.name: here / reference} if reference > 0 else {}

    def score(self, summary: Mapping[str, float]) -> float:
        """-|ratio - 1|; -infinity where there is no figure."""
        return -abs(summary.get(self.name, math.inf) - 1)


class Seam(_Ratio):
    """Mean luminance step across the hole's border over that of parallel lines 3 to 6 px outside.

    The border is every pair of 4-neighbours of which one is hidden. A line d px outside is the same
    for the hole grown by d pixels (Chebyshev), so it works for holes of any shape. Whole faces with
    virtual blocks have about 1, OpenCV's Telea fill .54. A picture has no value where nothing, or
    everything within 6 px, is hidden.
    """

    name = "seam"

    def parts(self, evaluated: Evaluated) -> tuple[Tensor, Tensor]:
        """Mean step across the border, and mean step across the parallel lines."""
        light, hole = luminance(in_unit_range(evaluated.completed)), holes(evaluated)
        lines = [pairs_across(grown(hole, distance)) for distance in PARALLEL]
        down = torch.stack([vertical for vertical, _ in lines]).any(0)
        across = torch.stack([horizontal for _, horizontal in lines]).any(0)
        return mean_step(light, *pairs_across(hole)), mean_step(light, down, across)


class InsideOutside(_Ratio):
    """Mean luminance step between neighbours inside the hole over that between neighbours outside.

    Pairs across the border count for neither. Whole faces with virtual blocks have about 1, Telea's
    smooth fill half of it.
    """

    name = "inside_outside"

    def parts(self, evaluated: Evaluated) -> tuple[Tensor, Tensor]:
        """Mean step inside, mean step outside."""
        light, hole = luminance(in_unit_range(evaluated.completed)), holes(evaluated)
        return mean_step(light, *pairs_within(hole)), mean_step(light, *pairs_within(~hole))


class ColourStep(Metric):
    """Difference of mean colour between the 2 px ring inside and the 2 px ring outside the border.

    In 255ths: the absolute difference of each channel, averaged over channels and pictures. What is
    natural depends on the data, so `colour_step_natural` is the same on virtual copies of each hole,
    laid 4 px above, below, left and right of it, where they fit into known pixels.
    """

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{"colour_step": (n,), "colour_step_natural": (n,)}; NaN where there is no ring or no room."""
        pictures, hole = in_unit_range(evaluated.completed), holes(evaluated)
        return {
            "colour_step": _colour_step(pictures, hole),
            "colour_step_natural": _natural_colour_step(pictures, hole),
        }

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Means over the pictures that have a value; a figure that no picture has is left out."""
        means = {name: known_mean(values[name]) for name in ("colour_step", "colour_step_natural")}
        return {name: mean for name, mean in means.items() if not math.isnan(mean)}

    def score(self, summary: Mapping[str, float]) -> float:
        """-|colour_step / colour_step_natural - 1|; -infinity where either is missing."""
        natural = summary.get("colour_step_natural", 0.0)
        if not natural or "colour_step" not in summary:
            return -math.inf
        return -abs(summary["colour_step"] / natural - 1)


def _colour_step(pictures: Tensor, hole: Tensor) -> Tensor:
    rings = hole & grown(~hole, RING), grown(hole, RING) & ~hole
    colours = pictures.unsqueeze(2).unbind(1)  # (n, 1, H, W) each
    inside, outside = (torch.stack([mean_over(colour, ring) for colour in colours], 1) for ring in rings)
    return 255 * (inside - outside).abs().mean(1)


def _natural_colour_step(pictures: Tensor, hole: Tensor) -> Tensor:
    """Mean (n,) over those virtual copies of the hole whose rings are known; NaN where none is."""
    height, width = _extent(hole, 3), _extent(hole, 2)
    nowhere = torch.zeros_like(height)
    moves = [(height, nowhere), (-height, nowhere), (nowhere, width), (nowhere, -width)]
    steps = []
    for down, right in moves:
        copy = _moved(_moved(hole, down, 2), right, 3)
        whole = copy.flatten(1).sum(1) == hole.flatten(1).sum(1)
        known = ~(grown(copy, RING) & hole).flatten(1).any(1)
        steps.append(_colour_step(pictures, copy).masked_fill(~(whole & known), math.nan))
    return torch.stack(steps).nanmean(0)


def _extent(hole: Tensor, other_axis: int) -> Tensor:
    """By how much to move a hole (n,) along an axis to lie `GAP` beside itself."""
    used = hole.any(other_axis).flatten(1).int()
    first, last = used.argmax(1), used.shape[1] - 1 - used.flip(1).argmax(1)
    return last - first + 1 + GAP


def _moved(area: Tensor, by: Tensor, axis: int) -> Tensor:
    """Each picture's area (n, 1, H, W) moved by its own number of pixels; what leaves the picture is lost."""
    side = area.shape[axis]
    source = torch.arange(side, device=area.device) - by.unsqueeze(1)  # (n, side)
    shape = [len(area), 1, 1, 1]
    shape[axis] = side
    index = source.clamp(0, side - 1).view(shape)
    inside = ((source >= 0) & (source < side)).view(shape)
    return torch.take_along_dim(area, index, axis) & inside
