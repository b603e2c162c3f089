"""What the figures share: pictures in [0, 1], holes, rings around them, steps between neighbours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Constant, Evaluated
from ambientkit.errors import PluginError

LUMINANCE = Constant([[[0.299]], [[0.587]], [[0.114]]])  # ITU-R BT.601


def in_unit_range(pictures: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return (pictures.float() + 1) / 2


def luminance(pictures: Tensor) -> Tensor:
    """(n, 1, H, W): BT.601 of three channels, the mean of any other number."""
    if pictures.shape[1] != 3:
        return pictures.mean(1, keepdim=True)
    return (pictures * LUMINANCE.like(pictures)).sum(1, keepdim=True)


def hidden_values(evaluated: Evaluated) -> Tensor:
    """Bool (n, C, H, W), True where a value is hidden. Raises PluginError without `observed`."""
    if evaluated.observed is None:
        raise PluginError("this figure looks at hidden pixels, and the sensor does not say which they are")
    return ~evaluated.observed.expand_as(evaluated.completed)


def holes(evaluated: Evaluated) -> Tensor:
    """Bool (n, 1, H, W), True where any channel of a pixel is hidden."""
    return hidden_values(evaluated).any(1, keepdim=True)


def grown(area: Tensor, pixels: int) -> Tensor:
    """`area` and all within `pixels` of it (Chebyshev)."""
    if not pixels:
        return area
    return functional.max_pool2d(area.float(), 2 * pixels + 1, 1, pixels) > 0


def mean_over(values: Tensor, area: Tensor) -> Tensor:
    """Mean (n,) of `values` over a picture's `area` and its channels; NaN where the area is empty."""
    area = area.expand_as(values)
    total = torch.where(area, values, 0.0).flatten(1).sum(1)
    return total / area.flatten(1).sum(1)


def neighbours(area: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Upper, lower, left and right member of all pairs of 4-neighbours."""
    return area[..., :-1, :], area[..., 1:, :], area[..., :, :-1], area[..., :, 1:]


def mean_step(values: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Mean absolute step (n,) over the chosen vertical and horizontal pairs; NaN where there are none."""
    upper, lower, left, right = neighbours(values)
    steps = torch.cat([(upper - lower).abs().flatten(1), (left - right).abs().flatten(1)], dim=1)
    return mean_over(steps, torch.cat([down.flatten(1), across.flatten(1)], dim=1))


def pairs_within(area: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs with both members in `area`: vertical ones, horizontal ones."""
    upper, lower, left, right = neighbours(area)
    return upper & lower, left & right


def pairs_across(area: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs with one member in `area`: vertical ones, horizontal ones."""
    upper, lower, left, right = neighbours(area)
    return upper ^ lower, left ^ right
