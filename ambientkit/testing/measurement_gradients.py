"""Checks of the gradient of `measure` with respect to the images."""

from __future__ import annotations

import torch
from torch import Tensor

from ambientkit.streams import stream
from ambientkit.testing.contract import BrokenPromiseError, Checks, not_applicable, require
from ambientkit.testing.measurement_case import MeasurementCase

GRADIENT_CHECKS: Checks[MeasurementCase] = Checks()

STEP = 1e-6
"""Of the difference quotient: in float64 its error is then some 1e-9 of y."""
TOLERANCE = 1e-4
"""Relative, between derivative and difference quotient. A wrong gradient at one pixel of 10^6 shows."""
DIRECTIONS = 4


@GRADIENT_CHECKS.add
def an_exact_gradient_is_the_derivative(case: MeasurementCase) -> None:
    """If `gradient` is "exact": it is the derivative, in float64, along random directions, and not 0."""
    _require_declared(case, "exact")
    images = case.images.double() * 0.9  # off the ends, where a sensor may clamp
    weights, gradient = _connected(case, images)
    require(
        gradient.any(),
        '`gradient = "exact"` is declared, but the derivative is 0 everywhere',
        'nothing can be learnt through it; declare "none", or give a useful one and declare "surrogate"',
    )
    for number in range(DIRECTIONS):
        direction = torch.randn(images.shape, generator=stream(case.seed, "direction", number)).double()
        ahead, behind = (case.measure(images + step * direction, case.theta) for step in (STEP, -STEP))
        quotient = float(((ahead - behind).double() * weights).sum() / (2 * STEP))
        derivative = float((gradient * direction).sum())
        require(
            abs(quotient - derivative) <= TOLERANCE * float(gradient.norm()),
            f'`gradient = "exact"` is declared, but along a random direction autograd says {derivative:.6g} '
            f"and the difference quotient (float64, step {STEP:g}) {quotient:.6g}",
            _REMEDY,
        )


_REMEDY = (
    'compute in the images\' dtype without detach, .data, rounding or NumPy; or declare "surrogate" (such as '
    'x + (f(x) - x).detach()) or "none", with a `gradient_reason`'
)


@GRADIENT_CHECKS.add
def a_surrogate_gradient_is_finite_and_not_zero(case: MeasurementCase) -> None:
    """If `gradient` is "surrogate": there is one, finite and not 0 everywhere."""
    _require_declared(case, "surrogate")
    _, gradient = _connected(case, case.images)
    finite = gradient.isfinite().all()
    require(finite, "the surrogate gradient holds NaN or infinity", "keep roots and quotients away from 0")
    require(gradient.any(), "the surrogate gradient is 0 everywhere", 'give a useful one, or declare "none"')


@GRADIENT_CHECKS.add
def a_sensor_without_gradient_has_none(case: MeasurementCase) -> None:
    """If `gradient` is "none": y is not connected to the images, or the gradient is 0."""
    _require_declared(case, "none")
    _, gradient = _gradient(case, case.images)
    require(
        gradient is None or not gradient.any(),
        '`gradient = "none"` is declared, but autograd gives one that is not 0',
        'declare "exact" if it is the derivative, "surrogate" if it is useful without being it; '
        "otherwise detach the images",
    )


def _connected(case: MeasurementCase, images: Tensor) -> tuple[Tensor, Tensor]:
    """As `_gradient`, where there has to be one."""
    weights, gradient = _gradient(case, images)
    if gradient is None:
        declared = f'`gradient = "{case.sensor.gradient}"` is declared'
        raise BrokenPromiseError(f"{declared}, but y is not connected to the images; {_REMEDY}")
    return weights, gradient


def _gradient(case: MeasurementCase, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Random weights of y, and the gradient of the weighted sum; None where there is no connection."""
    images = images.clone().requires_grad_()
    y = case.measure(images, case.theta)
    weights = torch.randn(y.shape, generator=stream(case.seed, "weights")).to(y.dtype)
    if not y.requires_grad:
        return weights, None
    return weights, torch.autograd.grad((y * weights).sum(), images, allow_unused=True)[0]


def _require_declared(case: MeasurementCase, kind: str) -> None:
    if case.sensor.gradient != kind:
        not_applicable(f'`gradient = "{case.sensor.gradient}"` is declared')
