"""A smooth first guess of what is hidden, from what surrounds it: on any device, with no loop over pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pulled_and_pushed(y: Tensor, observed: Tensor) -> Tensor:
    """`y` where observed; holes hold weighted means of what is observed, nearest first.

    Pull-push (Gortler et al. 1996, sec. 3.4): means over 2x2 pixels of what is observed, again and
    again, until nothing is hidden; then back, each finer map keeping what it knows and taking the rest
    from the coarser one, bilinearly. `y` float (n, C, H, W), `observed` (n, 1, H, W); what is hidden in y
    is not read. A picture without an observed pixel becomes 0.
    """
    weight = observed.to(y.dtype)
    return _filled(torch.where(observed, y, 0.0), weight)


def _filled(values: Tensor, weight: Tensor) -> Tensor:
    """`values` are means where `weight` is above 0; `weight`, at most 1, is how sure they are."""
    if max(values.shape[-2:]) == 1:
        return values
    share = functional.avg_pool2d(weight, 2, ceil_mode=True)
    means = functional.avg_pool2d(values * weight, 2, ceil_mode=True) / share.clamp(min=1e-6)
    coarse = _filled(means, (4 * share).clamp(max=1))
    pushed = functional.interpolate(coarse, values.shape[-2:], mode="bilinear", align_corners=False)
    return torch.lerp(pushed, values, weight)
