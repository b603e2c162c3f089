"""Checks that a sensor works on a GPU; most faults show without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ambientkit.interfaces import Theta
from ambientkit.streams import stream
from ambientkit.testing.contract import Checks, not_applicable, require
from ambientkit.testing.measurement_case import (
    MeasurementCase,
    copied,
    difference,
    fixed_global_states,
    tensors_complaint,
)
from ambientkit.testing.measurement_use import ROUNDING
from ambientkit.testing.pretended import device_complaint, pretended_gpu

DEVICE_CHECKS: Checks[MeasurementCase] = Checks()

_FACTORIES = (torch.rand, torch.randn, torch.randint, torch.randperm)


@DEVICE_CHECKS.add
def draws_name_the_generators_device(case: MeasurementCase) -> None:
    """`sample` makes tensors on `generator.device`: torch.rand and the like are told which that is."""
    case.theta  # noqa: B018 - leaves the check where nothing can be drawn
    watch = _Draws()
    with fixed_global_states(), watch:
        case.sensor.sample(2, case.image_shape, case.generator("device"))
    require(
        not watch.without_device,
        f"`sample` calls {' and '.join(sorted(watch.without_device))} with a generator but without a device, "
        "which fails with a CUDA generator",
        "write torch.rand(..., generator=generator, device=generator.device)",
    )


class _Draws(TorchFunctionMode):
    """Notes which factories are called with a generator and without a device."""

    def __init__(self) -> None:
        super().__init__()
        self.without_device: set[str] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _FACTORIES and given.get("generator") is not None and given.get("device") is None:
            self.without_device.add(f"torch.{func.__name__}")
        return func(*args, **given)


@DEVICE_CHECKS.add
def tensors_are_made_on_the_device_of_the_images(case: MeasurementCase) -> None:
    """`measure`, `observed` and `known` of CUDA tensors stay on CUDA; tried with tensors that hold nothing.

    A sensor that has to look at values (`.item()`, NumPy) cannot be tried so, and passes.
    """
    case.y  # noqa: B018 - leaves the check where nothing can be measured
    sensor, shape = case.twin(), case.image_shape
    with pretended_gpu() as to_gpu:
        images = to_gpu(case.images)
        theta = {name: to_gpu(value) for name, value in case.theta.items()}
        calls: dict[str, Callable[[], object]] = {
            "measure": lambda: sensor.measure(images, dict(theta)),
            "observed": lambda: sensor.observed(dict(theta), shape),
            "known": lambda: sensor.known(dict(theta)),
        }
        for method, call in calls.items():
            complaint = device_complaint(call)
            remedy = (
                "create tensors with device=images.device, or that of theta, and move what the sensor keeps"
            )
            require(not complaint, f"`{method}`, given tensors on a GPU, {complaint}", remedy)


@DEVICE_CHECKS.add
def everything_happens_on_the_gpu(case: MeasurementCase) -> None:
    """With a CUDA generator and images: theta, y, observed and known are there, and y is that of the CPU."""
    device = gpu()
    if device is None:
        not_applicable("there is no CUDA GPU here")
    case.y  # noqa: B018 - leaves the check where it does not even work on the CPU
    states = _gpu_states()
    generator = stream(case.seed, "theta", "gpu", device=device)
    theta = case.sensor.sample(case.count, case.image_shape, generator)
    complaint = tensors_complaint(theta, case.count, device)
    require(
        not complaint, f"theta of a CUDA generator: {complaint}", "create it with device=generator.device"
    )
    _require_there(case, theta, device)
    _require_as_on_cpu(case, theta, device)
    untouched = all(map(torch.equal, states, _gpu_states()))
    require(untouched, "the global random state of CUDA changed", "draw with `generator=generator`")


def gpu() -> torch.device | None:
    """The GPU to try, None where there is none."""
    return torch.device("cuda") if torch.cuda.is_available() else None


def _gpu_states() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _require_there(case: MeasurementCase, theta: Theta, device: torch.device) -> None:
    """y, observed and known are on the device of the images and theta."""
    y = case.sensor.measure(case.images.to(device), copied(theta))
    there = y.device.type == device.type
    require(there, f"y of CUDA images is on {y.device}", "create tensors with device=images.device")
    seen, known = case.sensor.observed(theta, case.image_shape), case.sensor.known(theta)
    remedy = "create tensors on theta's device"
    there = seen is None or seen.device.type == device.type
    require(there, "`observed` of a CUDA theta is not on the GPU", remedy)
    complaint = "" if known is None else tensors_complaint(known, case.count, device)
    require(not complaint, f"`known` of a CUDA theta: {complaint}", remedy)


def _require_as_on_cpu(case: MeasurementCase, theta: Theta, device: torch.device) -> None:
    """In float64, where TF32 and the like play no part."""
    images = case.images.double()
    here = case.measure(images, {name: value.cpu() for name, value in theta.items()})
    there = case.sensor.measure(images.to(device), copied(theta)).cpu()
    gap = difference(there, here) if there.shape == here.shape else torch.inf
    require(
        gap <= 10 * ROUNDING * max(1.0, float(here.abs().max())),
        f"the same images and theta measure up to {gap:.3g} differently on the GPU and on the CPU",
        "use operations that are the same on both",
    )
