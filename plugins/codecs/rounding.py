"""Rounding with a gradient that is of use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

GRADIENT_REASON = (
    "rounding has derivative 0 almost everywhere; the gradient goes through every rounding as if it were "
    "not there (straight-through), and is 0 where a value saturates"
)


class _Floor(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float, shift: float | Tensor) -> Tensor:
        ctx.scale = scale
        return values.mul(scale).add_(shift).floor_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.scale, None, None


class _Nearest(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return values.abs().add_(0.5).floor_().copysign_(values)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def nearest(values: Tensor) -> Tensor:
    """The nearest whole numbers, halves away from 0; its gradient is that of `values` (straight-through)."""
    rounded: Tensor = _Nearest.apply(values)
    return rounded


class _Within(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.ends = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (values,), (low, high) = ctx.saved_tensors, ctx.ends
        return gradients[0].masked_fill((values < low) | (values > high), 0), None, None


def within(values: Tensor, low: float, high: float) -> Tensor:
    """`values` clipped to low..high, with their gradient at both ends too.

    `clamp` may give 0 there, where whole numbers and black or white pixels often lie.
    """
    clipped: Tensor = _Within.apply(values, low, high)
    return clipped


def floor(values: Tensor, scale: float = 1.0, shift: float | Tensor = 0.0) -> Tensor:
    """The largest whole numbers at most `scale * values + shift`; its gradient is that of this sum.

    One pass with one new tensor, since a codec spends most of its time on these.
    """
    floored: Tensor = _Floor.apply(values, scale, shift)
    return floored
