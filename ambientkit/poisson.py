"""The Poisson equation on holes of any shape, for every picture and channel at once."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType

import torch
from torch import Tensor

TOLERANCE = 1e-9  # of the squared residual against its start: below a grey level in the middle of large holes
STEPS_A_PIXEL = 4  # conjugate gradients need about as many steps as the hole is wide; mazes a few times more


def solve_poisson(guide: Tensor, around: Tensor, observed: Tensor) -> Tensor:
    """The surface that equals `around` where observed, and in holes follows the gradients of `guide`.

    The guided interpolation of Perez, Gangnet and Blake 2003 (eq. 7): the field v is the step of `guide`
    between two hidden pixels, and 0 across the hole's border, so what `guide` holds where observed, and
    `around` in holes, is not looked at. Of a constant guide it is the smoothest fill. Nothing flows across
    the picture's edge. `guide`, `around` float (n, C, H, W), `observed` bool (n, 1 or C, H, W).
    """
    window, surface = around_holes(observed, 1), around.clone()
    surface[window] = _solved(guide[window], around[window], observed[window])
    return surface


def around_holes(observed: Tensor, margin: int) -> tuple[EllipsisType, slice, slice]:
    """Index of the least rectangle of all that is hidden in any picture, and `margin` pixels around it."""
    hidden = (~observed).flatten(0, 1).any(0)
    return ..., _span(hidden.any(1), margin), _span(hidden.any(0), margin)


def _span(hidden: Tensor, margin: int) -> slice:
    places = hidden.nonzero()
    if not len(places):
        return slice(0, 0)
    return slice(max(0, int(places.min()) - margin), int(places.max()) + 1 + margin)


def _solved(guide: Tensor, around: Tensor, observed: Tensor) -> Tensor:
    hidden = ~observed.expand_as(around)
    boundary = torch.where(hidden, 0.0, around)
    degree = _neighbour_sum(torch.ones_like(boundary))
    inside = torch.where(hidden, guide, 0.0)
    divergence = _neighbour_sum(hidden.to(guide.dtype)) * inside - _neighbour_sum(inside)

    def laplace(surface: Tensor) -> Tensor:
        return torch.where(hidden, degree * surface - _neighbour_sum(surface), 0.0)

    right = torch.where(hidden, divergence + _neighbour_sum(boundary), 0.0)
    solved = _conjugate_gradients(laplace, right, STEPS_A_PIXEL * max(around.shape[2:]))
    return torch.where(hidden, solved, around)


def _neighbour_sum(surface: Tensor) -> Tensor:
    total = torch.zeros_like(surface)
    total[..., 1:, :] += surface[..., :-1, :]
    total[..., :-1, :] += surface[..., 1:, :]
    total[..., :, 1:] += surface[..., :, :-1]
    total[..., :, :-1] += surface[..., :, 1:]
    return total


def _conjugate_gradients(operator: Callable[[Tensor], Tensor], right: Tensor, most: int) -> Tensor:
    """Solve operator(x) = right for every picture and channel at once (Hestenes and Stiefel 1952)."""
    x = torch.zeros_like(right)
    residual, direction = right, right
    energy = _energy(right)
    enough = TOLERANCE * energy
    for _ in range(most):
        if bool((energy <= enough).all()):
            break
        along = operator(direction)
        step = _ratio(energy, (direction * along).sum((2, 3), keepdim=True))
        x = x + step * direction
        residual = residual - step * along
        energy, before = _energy(residual), energy
        direction = residual + _ratio(energy, before) * direction
    return x


def _energy(residual: Tensor) -> Tensor:
    return residual.square().sum((2, 3), keepdim=True)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, 0 where a picture is solved already."""
    return torch.where(below > 0, above / below.clamp(min=torch.finfo(below.dtype).tiny), 0.0)
