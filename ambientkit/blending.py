"""Post-processing of completions: what was made is fitted to its surroundings. No hidden pixel is read.

All work in float and on holes of any shape, at the picture's edge too, where OpenCV's seamlessClone
works in 8 bits and fails. Observed pixels stay bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from ambientkit.baselines import telea_fill
from ambientkit.blends import Blend, require_blend
from ambientkit.errors import InputError
from ambientkit.poisson import solve_poisson

REACH = 6  # pixels over which `feather` fades


def blended(blend: Blend, made: Tensor, y: Tensor, observed: Tensor) -> Tensor:
    """`made` fitted into the holes of `y`: completed pictures (n, C, H, W) in [-1, 1].

    `made` float (n, C, H, W) in [-1, 1], `y` alike, `observed` bool (n, 1 or C, H, W). Raises InputError
    where there is no such way to blend, or what it needs is not there.
    """
    require_blend(blend)
    fitted = made if blend == "none" else _BLENDS[blend](made.float(), y.float(), observed).clamp(-1, 1)
    return torch.where(observed, y, fitted.to(y.dtype))


def _poisson(made: Tensor, y: Tensor, observed: Tensor) -> Tensor:
    """The gradients of `made` in the hole, and no step across its border (Perez et al. 2003)."""
    return solve_poisson(made, y, observed)


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
    """GLCIC's (Iizuka et al. 2017, sec. 3.4): fast marching first, then Poisson blending of both.

    The fast-marching fill gives the colours next to the border, REACH / 2 pixels deep, as if they had been
    observed, and `made` the gradients within.
    """
    if find_spec("cv2") is None or y.shape[1] not in (1, 3):
        raise InputError(
            "blend telea+poisson needs OpenCV (pip install 'ambientkit[evaluate]'), "
            "and pictures of 1 or 3 channels"
        )
    marched = telea_fill(y, observed)
    band = (~observed) & (_depth(observed) < REACH / 2)
    return solve_poisson(made, marched, observed | band)


_BLENDS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "feather": _feather,
    "poisson": _poisson,
    "telea+poisson": _telea_poisson,
}
