"""Post-processing of completions: what was made is fitted to its surroundings. No hidden pixel is read.

All work in float and on holes of any shape, at the picture's edge too, where OpenCV's seamlessClone
works in 8 bits and fails. Observed pixels stay bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit.baselines import telea_fill
from ambientkit.blends import Blend, require_blend
from ambientkit.errors import InputError
from ambientkit.poisson import around_holes, solve_poisson

REACH = 6  # pixels along the border over which a step is averaged, and over which `feather` fades
MARGIN = 2 * REACH  # pixels around the holes beyond which nothing is looked at


def blended(blend: Blend, made: Tensor, y: Tensor, observed: Tensor) -> Tensor:
    """`made` fitted into the holes of `y`: completed pictures (n, C, H, W) in [-1, 1].

    `made` float (n, C, H, W) in [-1, 1], `y` alike, `observed` bool (n, 1 or C, H, W). Raises InputError
    where there is no such way to blend, or what it needs is not there.
    """
    require_blend(blend)
    if blend == "none" or bool(observed.all()):
        return torch.where(observed, y, made.to(y.dtype))
    window, completed = around_holes(observed, MARGIN), y.clone()
    parts = made[window].float(), y[window].float(), observed[window]
    fitted = _BLENDS[blend](*parts).clamp(-1, 1)
    completed[window] = torch.where(parts[2], y[window], fitted.to(y.dtype))
    return completed


def _poisson(made: Tensor, y: Tensor, observed: Tensor) -> Tensor:
    """The gradients of `made`, with a step across the border that goes on as the picture comes to it.

    The guided interpolation of Perez et al. 2003 (eq. 7) makes the step across the border 0, which nature
    does not: such a border is smoother than anything beside it. Here its mean nearby is made that of the step
    one pixel further out, and what differs from the mean stays: a wrong colour goes, and texture goes on.
    """
    hidden = ~observed.expand_as(made)
    total, sides = torch.zeros_like(made), torch.zeros_like(made)
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):  # each side by itself: steps of two may cancel
        ring = ~hidden & _beside(hidden, down, right)
        slope = torch.where(_beside(~hidden, -down, -right), y - _beside(y, -down, -right), 0.0)
        total += _nearby(_beside(made, down, right) - y - slope, ring)
        sides += ring
    return made - _continued(total / sides.clamp(min=1), observed)


def _beside(values: Tensor, down: int, right: int) -> Tensor:
    """What lies so many pixels further; outside the picture 0, or False."""
    there = functional.pad(values.float(), (1, 1, 1, 1))
    height, width = values.shape[-2:]
    found = there[..., 1 + down : 1 + down + height, 1 + right : 1 + right + width]
    return found.to(values.dtype)


def _nearby(step: Tensor, ring: Tensor) -> Tensor:
    """In the ring, the mean of `step` over what lies in it within REACH pixels in any direction; else 0."""
    total, share = (_box(each) for each in (torch.where(ring, step, 0.0), ring.to(step.dtype)))
    return torch.where(ring, total / share.clamp(min=torch.finfo(step.dtype).tiny), 0.0)


def _box(values: Tensor) -> Tensor:
    """Means over squares, up to a factor that is the same for all; outside the picture is 0."""
    return functional.avg_pool2d(values, 2 * REACH + 1, stride=1, padding=REACH)


def _continued(offset: Tensor, observed: Tensor) -> Tensor:
    """The smoothest surface in the holes that goes on from `offset` where observed."""
    return solve_poisson(torch.zeros_like(offset), offset, observed)


def _feather(made: Tensor, y: Tensor, observed: Tensor) -> Tensor:
    """What `poisson` makes at the border, and more and more `made` the deeper in the hole.

    The share of the former is halved each REACH / 2 pixels.
    """
    share = 0.5 ** (2 * _depth(observed) / REACH)
    return torch.lerp(made, _poisson(made, y, observed), share.expand_as(made))


def _depth(observed: Tensor) -> Tensor:
    """Hidden pixels (n, 1 or C, H, W) between each one and the nearest observed one, in city blocks."""
    hidden = (~observed).float()
    depth = torch.zeros_like(hidden)
    for _ in range(4 * REACH):
        hidden = _shrunk(hidden)
        depth += hidden
    return depth


def _shrunk(hidden: Tensor) -> Tensor:
    """Without the hidden pixels that have an observed 4-neighbour."""
    upper, lower = hidden.clone(), hidden.clone()
    upper[..., 1:, :], lower[..., :-1, :] = hidden[..., :-1, :], hidden[..., 1:, :]
    left, right = hidden.clone(), hidden.clone()
    left[..., 1:], right[..., :-1] = hidden[..., :-1], hidden[..., 1:]
    return hidden * upper * lower * left * right


def _telea_poisson(made: Tensor, y: Tensor, observed: Tensor) -> Tensor:
    """Fast marching first, then Poisson blending, as GLCIC does (Iizuka et al. 2017, sec. 3.4).

    The fast-marching fill says what colour belongs in a rim of REACH / 2 pixels inside the border. The mean
    difference of `made` from it is taken away there, and fades smoothly from the rim inwards.
    """
    if find_spec("cv2") is None or y.shape[1] not in (1, 3):
        raise InputError(
            "blend telea+poisson needs OpenCV (pip install 'ambientkit[evaluate]'), "
            "and pictures of 1 or 3 channels"
        )
    rim = ((~observed) & (_depth(observed) < REACH / 2)).expand_as(made)
    return made - _continued(_nearby(made - telea_fill(y, observed), rim), observed | rim)


_BLENDS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "feather": _feather,
    "poisson": _poisson,
    "telea+poisson": _telea_poisson,
}
