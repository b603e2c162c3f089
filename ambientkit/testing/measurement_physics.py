"""Checks of `measure` and `observed`: what a measurement is, and what it must not show."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ambientkit.interfaces import Theta
from ambientkit.streams import stream
from ambientkit.testing.contract import Checks, not_applicable, require
from ambientkit.testing.measurement_case import (
    DTYPES,
    MeasurementCase,
    copied,
    described,
    difference,
    equal,
    first,
    fixed_global_states,
    mask_complaint,
    same,
    unequal,
)

MEASURE_CHECKS: Checks[MeasurementCase] = Checks()
OBSERVED_CHECKS: Checks[MeasurementCase] = Checks()


@MEASURE_CHECKS.add
def measure_returns_the_measured_shape(case: MeasurementCase) -> None:
    """`measure` returns (n, *measured_shape) for any n."""
    shape = case.sensor.measured_shape(case.image_shape)
    fine = isinstance(shape, tuple) and shape and all(type(side) is int and side > 0 for side in shape)
    require(fine, f"`measured_shape` returned {shape!r}", "return a tuple of positive ints, no batch axis")
    for n in (1, case.count):
        y = case.measured(case.images[:n], case.draw(n, "measured shape", n))
        right = isinstance(y, Tensor) and tuple(y.shape) == (n, *shape)
        require(
            right,
            f"`measure` returned {described(y)} for {n} pictures of {case.image_shape}, "
            f"but `measured_shape` says {(n, *shape)}",
            "correct the one that is wrong",
        )


@MEASURE_CHECKS.add
def measure_keeps_the_dtype_of_the_images(case: MeasurementCase) -> None:
    """y has the dtype of the images, float32, float64 or bfloat16."""
    for dtype in DTYPES:
        y = case.measure(case.images.to(dtype), case.theta)
        require(
            y.dtype == dtype,
            f"`measure` returned {y.dtype} for images of {dtype}",
            "create tensors with images.new_tensor(...) or dtype=images.dtype, "
            "and cast theta: theta['noise'].to(images.dtype)",
        )


@MEASURE_CHECKS.add
def y_is_finite(case: MeasurementCase) -> None:
    """y is finite for all pictures in [-1, 1], black, grey and white ones among them."""
    flat = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, *case.image_shape)
    images = torch.cat([flat, case.pictures(13, "finite")])
    y = case.measure(images, case.draw(len(images), "finite"))
    wrong = ~y.isfinite()
    require(
        not wrong.any(),
        f"y holds {_value(y, wrong)} at {_index(wrong)} for a picture in [-1, 1] ({int(wrong.sum())} such)",
        "keep logarithms, roots and quotients away from 0",
    )


@MEASURE_CHECKS.add
def measure_is_deterministic_given_theta(case: MeasurementCase) -> None:
    """The same images and theta give the same y, bit for bit."""
    once, again = case.y_twice
    require(
        same(once, again),
        f"`measure` gave two measurements that differ by up to {difference(once, again):.3g} "
        "for the same images and theta",
        "draw all noise in `sample` and keep it in theta",
    )


@MEASURE_CHECKS.add
def y_depends_on_the_images(case: MeasurementCase) -> None:
    """Other pictures under the same theta give another y."""
    other = case.measure(case.pictures(case.count, "other pictures"), case.theta)
    require(
        not same(other, case.y),
        "`measure` gave the same y for entirely different pictures",
        "let y be made from the images; nothing can be learnt from a sensor that sees nothing",
    )


@MEASURE_CHECKS.add
def no_method_writes_into_its_arguments(case: MeasurementCase) -> None:
    """Images and theta are as before after `measure`, `observed` and `known`."""
    images, theta = case.images.clone(), copied(case.theta)
    case.y  # noqa: B018 - leaves the check where nothing can be measured
    calls: dict[str, Callable[[], object]] = {
        "measure": lambda: case.sensor.measure(images, theta),
        "observed": lambda: case.sensor.observed(theta, case.image_shape),
        "known": lambda: case.sensor.known(theta),
    }
    for method, call in calls.items():
        with fixed_global_states():
            call()
        written = [] if same(images, case.images) else ["the images"]
        written += [f"theta[{name!r}]" for name in case.theta if not _kept(name, theta, case.theta)]
        require(
            not written and theta.keys() == case.theta.keys(),
            f"`{method}` wrote into {' and '.join(written) or 'the dict theta'}",
            "make new tensors: no in-place operation (`_`, `+=`, `x[...] =`) on what is passed in",
        )


def _kept(name: str, theta: Theta, before: Theta) -> bool:
    return name in theta and same(theta[name], before[name])


@MEASURE_CHECKS.add
def measuring_leaves_nothing_behind(case: MeasurementCase) -> None:
    """A batch measures the same after another batch of other pictures was drawn for and measured."""
    before, known = _masks(case), _known(case)
    case.measure(case.pictures(2, "in between"), case.draw(2, "in between"))
    remedy = "keep nothing in the sensor between calls: all that is drawn or computed belongs into theta"
    changed = "of one theta changed once other pictures had been measured"
    require(equal(_masks(case), before), f"`observed` {changed}", remedy)
    require(equal(_known(case), known), f"`known` {changed}", remedy)
    y = case.measure(case.images, case.theta)
    require(
        same(y, case.y),
        f"the same images and theta measured {difference(y, case.y):.3g} differently once others had been",
        remedy,
    )


def _masks(case: MeasurementCase) -> Theta:
    seen = case.seen(case.theta)
    return {} if seen is None else {"observed": seen.clone()}


def _known(case: MeasurementCase) -> Theta:
    return copied(case.reported(case.theta) or {})


@MEASURE_CHECKS.add
def a_pixel_of_y_depends_on_its_own_pixel_alone(case: MeasurementCase) -> None:
    """If `pixelwise`: changing some pixels changes y at those pixels only."""
    if not case.sensor.pixelwise:
        not_applicable("`pixelwise = False` is declared")
    require(
        case.y.shape == case.images.shape,
        f"`pixelwise` is declared, but y is {tuple(case.y.shape[1:])} and the picture {case.image_shape}",
        "declare `pixelwise = False`",
    )
    changed = torch.rand(case.count, 1, *case.image_shape[1:], generator=stream(case.seed, "pixels")) < 0.5
    images = torch.where(changed, case.pictures(case.count, "other pixels"), case.images)
    wrong = unequal(case.measure(images, case.theta), case.y) & ~changed
    require(
        not wrong.any(),
        f"`pixelwise` is declared, but y changed at {_index(wrong)} though only other pixels of x did "
        f"({int(wrong.sum())} such values)",
        "declare `pixelwise = False`",
    )


@OBSERVED_CHECKS.add
def observed_is_a_mask_of_the_picture(case: MeasurementCase) -> None:
    """`observed` is bool (n, 1 or C, H, W) and y is laid out as the picture is."""
    seen = case.sensor.observed(copied(case.theta), case.image_shape)
    if seen is None:
        not_applicable("`observed` is None")
    complaint = mask_complaint(seen, case.count, case.image_shape)
    require(not complaint, f"`observed` is no mask of the pictures: {complaint}", "return theta's mask so")
    require(
        case.y.shape[-2:] == case.images.shape[-2:] and case.y.dim() == 4,
        f"`observed` is there, but y is {tuple(case.y.shape[1:])} for pictures {case.image_shape}",
        "return None: `observed` is for sensors that show pixels at their place in the picture",
    )


@OBSERVED_CHECKS.add
def observed_pixels_are_exact(case: MeasurementCase) -> None:
    """If `exact`: observed pixels of y equal those of x bit for bit, in every dtype."""
    if not case.sensor.exact:
        not_applicable("`exact = False` is declared")
    declared = case.sensor.observed(copied(case.theta), case.image_shape)
    require(declared is not None, "`exact` is declared, but `observed` is None", "say which pixels are exact")
    same_shape = case.y.shape == case.images.shape
    require(same_shape, f"`exact` is declared, but y is {tuple(case.y.shape[1:])}", "declare `exact = False`")
    for dtype in DTYPES:
        images = case.images.to(dtype)
        y = case.measure(images, case.theta)
        wrong = unequal(y, images) & case.observed
        require(
            not wrong.any(),
            f"`exact` is declared, but {int(wrong.sum())} observed values of y differ from x by up to "
            f"{difference(y.where(wrong, 0), images.where(wrong, 0)):.3g} ({dtype}), first {_index(wrong)}",
            "select with torch.where(observed, images, fill), or declare `exact = False`",
        )


@OBSERVED_CHECKS.add
def hidden_pixels_hold_the_fill(case: MeasurementCase) -> None:
    """If `fill` is not None: hidden pixels of y equal it, in every dtype."""
    if case.sensor.fill is None or not math.isfinite(case.sensor.fill):
        not_applicable(f"`fill` is {case.sensor.fill}")
    require(
        case.sensor.observed(copied(case.theta), case.image_shape) is not None,
        f"`fill = {case.sensor.fill}` is declared, but `observed` is None",
        "say which pixels are hidden, or declare `fill = None`",
    )
    for dtype in DTYPES:
        y = case.measure(case.images.to(dtype), case.theta)
        wrong = (y != y.new_tensor(case.sensor.fill)) & ~case.observed
        require(
            not wrong.any(),
            f"`fill = {case.sensor.fill}` is declared, but y holds {_value(y, wrong)} at the hidden "
            f"{_index(wrong)} ({dtype}; {int(wrong.sum())} such values)",
            "write the fill by torch.where(observed, images, fill), or declare `fill = None`",
        )


@OBSERVED_CHECKS.add
def hidden_pixels_do_not_leak(case: MeasurementCase) -> None:
    """What x holds at hidden pixels is not in y.

    It is nowhere in y if the sensor is exact or pixelwise; it is at no hidden pixel of y if it is
    neither, as where a blur comes before the mask.
    """
    hidden = ~case.observed.expand(case.count, *case.image_shape)
    if not hidden.any():
        not_applicable("no pixel was hidden")
    everywhere = case.sensor.exact or case.sensor.pixelwise
    contents = {"other values": case.pictures(case.count, "hidden pixels")}
    if case.sensor.exact:
        contents["NaN"] = torch.full_like(case.images, torch.nan)
    for what, content in contents.items():
        y = case.measure(torch.where(hidden, content, case.images), case.theta)
        leaked = unequal(y, case.y) & (everywhere | ~case.observed)
        require(
            not leaked.any(),
            f"y changed at {_index(leaked)} when the hidden pixels of x were given {what} "
            f"({int(leaked.sum())} such values)",
            "hide by selection (torch.where), not by multiplication, and let `observed` be what y shows",
        )


def _index(where: Tensor) -> str:
    """The first True, in words; "" where there is none."""
    if not where.any():
        return ""
    place = first(where)
    if len(place) != 4:
        return f"picture {place[0]}, index {place[1:]}"
    names = ("picture", "channel", "row", "column")
    return ", ".join(f"{name} {index}" for name, index in zip(names, place, strict=True))


def _value(y: Tensor, where: Tensor) -> str:
    """The value at the first True."""
    return f"{float(y[first(where)]):.6g}" if where.any() else ""
