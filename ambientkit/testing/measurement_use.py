"""Checks of how the engine uses a sensor: batches, stores, copies, other pictures."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from ambientkit.errors import FAILURES, AmbientkitError
from ambientkit.interfaces import Measurement, Shape
from ambientkit.testing.contract import Checks, not_applicable, require
from ambientkit.testing.measurement_case import (
    MeasurementCase,
    copied,
    described,
    difference,
    equal,
    fixed_global_states,
    mask_complaint,
    rows,
    same,
    tensors_complaint,
)

KNOWN_CHECKS: Checks[MeasurementCase] = Checks()
USE_CHECKS: Checks[MeasurementCase] = Checks()

ROUNDING = 1e-5
"""Of the largest value of y, in float64: theta in float32 and other orders of summation are no fault."""
FEW_VALUES = 16
"""A float tensor with at most so many different values a picture is a mask or a choice, no noise."""


@KNOWN_CHECKS.add
def known_is_a_dict_of_tensors_with_first_axis_n(case: MeasurementCase) -> None:
    """`known` is None or a dict of tensors, first axis n, on theta's device."""
    known = case.sensor.known(copied(case.theta))
    if known is None:
        not_applicable("`known` is None")
    complaint = tensors_complaint(known, case.count)
    require(
        not complaint,
        f"`known` does not return what the instrument reports: {complaint}",
        "return a dict of tensors with one row a picture, or None where it reports nothing",
    )


@KNOWN_CHECKS.add
def known_holds_no_nuisance(case: MeasurementCase) -> None:
    """No tensor of `known` is as large as the picture or y and of continuous values, as noise is.

    Whoever knows the noise knows the clean pixel: y - noise. Masks and choices, of few different
    values, may be of any size.
    """
    least = min(case.images[0, 0].numel(), max(case.y[0].numel(), FEW_VALUES + 1))
    noisy = [
        f"{name!r}, {described(value)}"
        for name, value in case.known.items()
        if value.is_floating_point() and value[0].numel() >= least and _different_values(value) > FEW_VALUES
    ]
    require(
        not noisy,
        f"`known` holds continuous values as large as the picture: {'; '.join(noisy)}",
        "keep noise and other nuisance out of it: `known` is stored beside y and shown to the networks",
    )


def _different_values(value: Tensor) -> int:
    return len(set(value[0].flatten().tolist()))


@KNOWN_CHECKS.add
def known_shares_no_memory_with_the_sensor(case: MeasurementCase) -> None:
    """Writing into what `known` and `sample` return changes no later measurement."""
    case.known  # noqa: B018 - leaves the check where nothing is known
    sensor = case.twin()
    theta = sensor.sample(case.count, case.image_shape, case.generator("memory"))
    before = sensor.measure(case.images.clone(), copied(theta))
    for tensor in [*(sensor.known(theta) or {}).values(), *theta.values()]:
        _overwrite(tensor)
    theta = sensor.sample(case.count, case.image_shape, case.generator("memory"))
    require(
        same(sensor.measure(case.images.clone(), theta), before),
        "the sensor measures differently once what `known` and `sample` had returned was written into",
        "return copies (.clone()) of what the sensor itself keeps",
    )


def _overwrite(tensor: Tensor) -> None:
    try:
        tensor.zero_()
    except RuntimeError:  # an expanded tensor cannot be written into: it is safe
        return


@USE_CHECKS.add
def a_batch_equals_its_images_one_by_one(case: MeasurementCase) -> None:
    """Each picture is measured as if it were alone: bit for bit if `exact`, else to rounding in float64."""
    images = case.images if case.sensor.exact else case.images.double()
    whole = case.measure(images, case.theta)
    alone = torch.cat(
        [case.measure(images[i : i + 1], rows(case.theta, i, i + 1)) for i in range(case.count)]
    )
    gap = difference(alone, whole) if alone.shape == whole.shape else torch.inf
    allowed = 0.0 if case.sensor.exact else ROUNDING * max(1.0, float(whole.abs().max()))
    remedy = "let each picture depend on its own row of theta and on no statistic of the batch"
    require(
        gap <= allowed,
        f"a batch of {case.count} and its pictures one by one differ by up to {gap:.3g} "
        f"(allowed: {allowed:.3g})",
        remedy,
    )
    _require_parts_alone(case, remedy)


def _require_parts_alone(case: MeasurementCase, remedy: str) -> None:
    """`observed` and `known` of the last row of theta alone are those of the whole."""
    last = rows(case.theta, case.count - 1, case.count)
    seen, whole = case.seen(last), case.seen(case.theta)
    agree = seen is None or (whole is not None and same(seen, whole[-1:]))
    require(agree, "`observed` of one picture differs from that of it in a batch", remedy)
    known = rows(case.reported(case.theta) or {}, case.count - 1, case.count)
    require(
        equal(case.reported(last) or {}, known),
        "`known` of one picture differs from that of it in a batch",
        remedy,
    )


@USE_CHECKS.add
def theta_has_one_shape_whatever_is_drawn(case: MeasurementCase) -> None:
    """Names, dtypes and shapes of theta, but for its first axis, are the same in every draw.

    The store draws picture by picture and joins the draws.
    """
    draws = [case.theta, *(case.draw(n, "shape", n, i) for n in (1, 3) for i in range(8))]
    forms = [
        {name: (tuple(value.shape[1:]), value.dtype) for name, value in theta.items()} for theta in draws
    ]
    other = next((form for form in forms if form != forms[0]), forms[0])
    require(
        other == forms[0],
        f"draws differ in names, shapes or dtypes, and cannot be joined: {forms[0]} and {other}",
        "draw a fixed number a picture, the largest, and let a mask or a count in theta say which are used",
    )


@USE_CHECKS.add
def theta_survives_storage_and_transport(case: MeasurementCase) -> None:
    """Theta copied, made contiguous, sent to a device, saved and loaded measures the same, whatever order."""
    moved = {
        name: _loaded(value).to("cpu", copy=True).contiguous() for name, value in reversed(case.theta.items())
    }
    y = case.measure(case.images, moved)
    require(
        same(y, case.y),
        f"theta that was copied and saved measures up to {difference(y, case.y):.3g} differently",
        "let `measure` use names and values of theta's tensors only, not their identity, order or attributes",
    )


def _loaded(value: Tensor) -> Tensor:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    loaded: Tensor = torch.load(file, weights_only=True)
    return loaded


@USE_CHECKS.add
def any_memory_layout_of_the_images_will_do(case: MeasurementCase) -> None:
    """Pictures in channels-last order, and such that are not contiguous, measure the same."""
    layouts = {
        "channels-last": case.images.clone(memory_format=torch.channels_last),
        "not contiguous": case.images.repeat_interleave(2, dim=-1)[..., ::2],
    }
    allowed = 0.0 if case.sensor.exact else 10 * ROUNDING * max(1.0, float(case.y.abs().max()))
    for layout, images in layouts.items():
        gap, error = _layout_gap(case, images)
        require(
            gap <= allowed,
            error or f"{layout} images measure up to {gap:.3g} differently",
            f"take {layout} images too: reshape instead of view, indices instead of memory",
        )


def _layout_gap(case: MeasurementCase, images: Tensor) -> tuple[float, str]:
    """How far y is off, and the error where it cannot be made."""
    try:
        with fixed_global_states():
            y = case.sensor.measure(images, copied(case.theta))
    except RuntimeError as error:
        return torch.inf, f"`measure` raised {type(error).__name__}: {error}"
    return (difference(y, case.y), "") if y.shape == case.y.shape else (torch.inf, "")


@USE_CHECKS.add
def copies_and_pickles_measure_the_same(case: MeasurementCase) -> None:
    """A deep copy and a pickle of the sensor draw the same theta and make the same y."""
    case.y  # noqa: B018 - leaves the check where nothing can be measured
    makers: dict[str, Callable[[Measurement], Measurement]] = {
        "copy.deepcopy": copy.deepcopy,
        "pickle": _pickled,
    }
    for how, make in makers.items():
        try:
            other = make(case.sensor)
        except FAILURES as error:
            require(False, f"{how} of the sensor fails: {type(error).__name__}: {error}", _COPY_REMEDY)
        twin = MeasurementCase(other, case.image_shape, case.seed, count=case.count)
        same_theta = equal(twin.theta, case.theta)
        require(same_theta, f"{how} of the sensor draws another theta from the same generator", _COPY_REMEDY)
        require(same(twin.y, case.y), f"{how} of the sensor measures differently", _COPY_REMEDY)


_COPY_REMEDY = (
    "keep numbers, tensors and other plain data in the sensor: no lambda, open file or generator; "
    "worker processes get it pickled"
)


def _pickled(sensor: Measurement) -> Measurement:
    """Pickle round trip. A class that pickle cannot find by its name keeps it; its state is pickled."""
    cls = type(sensor)
    if getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls:
        loaded: Measurement = pickle.loads(pickle.dumps(sensor))
        return loaded
    twin = copy.copy(sensor)
    vars(twin).update(pickle.loads(pickle.dumps(vars(sensor))))
    return twin


@USE_CHECKS.add
def other_sizes_and_channels_work_or_are_refused(case: MeasurementCase) -> None:
    """Grey, four channels, odd sides, upright and small pictures work, or an AmbientkitError says why not."""
    if tuple(case.y.shape[1:]) != tuple(case.sensor.measured_shape(case.image_shape)):
        not_applicable("`measured_shape` has to be right first")
    case.seen(case.theta), case.reported(case.theta)  # leave the check where they are not right here
    for shape in other_shapes(case.image_shape):
        try:
            complaint = _complaint_of(case, shape)
        except AmbientkitError as refusal:
            complaint = "" if str(refusal).strip() else f"{type(refusal).__name__} without a message"
        except FAILURES as error:
            complaint = f"{type(error).__name__}: {error}"
        require(
            not complaint,
            f"pictures of {shape} (channels, height, width) fail: {complaint}",
            "use the shape that is passed in, not a fixed one; or raise ambientkit.errors.DataError "
            "that says which sizes and channels the sensor takes",
        )


def other_shapes(image_shape: Shape) -> list[Shape]:
    """Other picture sizes and channels: grey, four channels, odd sides, upright, and very small."""
    _, height, width = image_shape
    return [(1, height + 1, max(1, width - 3)), (4, width, height), (3, height, width + 1), (1, 5, 7)]


def _complaint_of(case: MeasurementCase, shape: Shape) -> str:
    """What is wrong with measurements of two pictures of `shape`, or ""."""
    with fixed_global_states():
        theta = case.sensor.sample(2, shape, case.generator("other shape", *shape))
        y = case.sensor.measure(case.pictures(2, "other shape", shape), copied(theta))
        seen, known = case.sensor.observed(copied(theta), shape), case.sensor.known(copied(theta))
    measured = (2, *case.sensor.measured_shape(shape))
    if tuple(y.shape) != measured:
        return f"`measure` returned {described(y)}, but `measured_shape` says {measured}"
    if not bool(y.isfinite().all()):
        return "y holds NaN or infinity"
    return mask_complaint(seen, 2, shape) or ("" if known is None else tensors_complaint(known, 2))
