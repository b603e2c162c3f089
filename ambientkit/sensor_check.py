"""What a sensor draws and measures, looked at on two pictures before a run begins: whose fault, and a remedy.

Few who write one run the contract kit, and most of these mistakes would spoil a training in silence: pictures
that `measure` writes into are what metrics take for the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ambientkit.errors import PluginError
from ambientkit.interfaces import Measurement, Shape, Theta
from ambientkit.returned import asked, described, fault
from ambientkit.streams import stream

PICTURES = 2
MEMBERS = ("random", "exact", "symmetric", "fill", "fingerprint", "parts")
MODEST = frozenset({"flip", "pixelwise"})  # allow more to a recipe, so that leaving them out does no harm
METHODS = ("sample", "measure", "measured_shape", "observed", "known")
_SAMPLE = "draw with `generator=generator` on `generator.device` alone, in `sample` alone"
_IN_PLACE = "make new tensors: no in-place operation (`_`, `+=`, `x[...] =`) on what is passed in"


def require_members(sensor: Measurement) -> None:
    """It has what the engine asks of it, whatever it inherits. Raises PluginError."""
    lacking = [name for name in (*MEMBERS, *METHODS) if not hasattr(sensor, name)]
    if lacking:
        owner = type(sensor).__name__
        raise PluginError(f"{owner}: it has no `{lacking[0]}`; write it, or inherit ambientkit.Measurement")


def require_sensor(sensor: Measurement, shape: Shape) -> None:
    """It draws, measures and reports what its contract says, for pictures of `shape`. Raises PluginError."""
    theta = _drawn(sensor, shape)
    if not _alike(theta, _drawn(sensor, shape)):
        raise fault(sensor.sample, "generators in one state drew another theta", _SAMPLE, PluginError)
    _require_mask(sensor, theta, shape)  # first: the base of masks measures by it
    _require_report(sensor, theta)
    images = torch.rand(PICTURES, *shape, generator=stream(0, "sensor check")) * 2 - 1
    y = _measured(sensor, images, theta)
    if not torch.allclose(y, _measured(sensor, images, theta), rtol=1e-4, atol=1e-5, equal_nan=True):
        what = "the same pictures and theta gave another measurement"
        raise fault(sensor.measure, what, "keep all noise in theta: " + _SAMPLE, PluginError)


def _drawn(sensor: Measurement, shape: Shape) -> Theta:
    theta = asked(sensor.sample, PICTURES, shape, stream(0, "sensor check", "theta"), kind=PluginError)
    _require_rows(sensor.sample, theta, "a draw for each picture")
    return dict(theta)


def _measured(sensor: Measurement, images: Tensor, theta: Theta) -> Tensor:
    """y, float32 and of the declared shape; pictures and theta are as they were."""
    given, drew = images.clone(), {name: value.clone() for name, value in theta.items()}
    y = asked(sensor.measure, images, theta, kind=PluginError)
    wanted = (PICTURES, *asked(sensor.measured_shape, tuple(images.shape[1:]), kind=PluginError))
    if not isinstance(y, Tensor) or tuple(y.shape) != wanted:
        what = f"it returned {described(y)}, and `measured_shape` says {wanted}"
        raise fault(sensor.measure, what, "correct the one that is wrong", PluginError)
    if y.dtype != images.dtype:
        what = f"it returned {described(y)} for pictures of {images.dtype}"
        raise fault(sensor.measure, what, "cast theta: theta['noise'].to(images.dtype)", PluginError)
    if not torch.equal(images, given) or not _alike(theta, drew):
        what = f"it wrote into {'theta' if torch.equal(images, given) else 'the pictures'}"
        raise fault(sensor.measure, what, _IN_PLACE, PluginError)
    return y


def _require_mask(sensor: Measurement, theta: Theta, shape: Shape) -> None:
    seen = asked(sensor.observed, theta, shape, kind=PluginError)
    if seen is None:
        return
    fitting = [(PICTURES, channels, *shape[1:]) for channels in (1, shape[0])]
    if not isinstance(seen, Tensor) or seen.dtype != torch.bool or tuple(seen.shape) not in fitting:
        remedy = "return a bool mask (n, 1 or C, H, W), True where y shows the picture, or None"
        raise fault(sensor.observed, f"it returned {described(seen)}", remedy, PluginError)


def _require_report(sensor: Measurement, theta: Theta) -> None:
    known = asked(sensor.known, theta, kind=PluginError)
    if known is not None:
        _require_rows(sensor.known, known, "what is reported of each picture")


def _require_rows(method: Callable[..., Any], found: object, what: str) -> None:
    """A dict of tensors with a row a picture."""
    remedy = f"return a dict of tensors whose first axis is the pictures, {what}"
    if not isinstance(found, Mapping):
        raise fault(method, f"it returned {described(found)}", remedy, PluginError)
    for name, value in found.items():
        if not isinstance(value, Tensor) or value.shape[:1] != (PICTURES,):
            raise fault(
                method, f"its {name!r} is {described(value)} for {PICTURES} pictures", remedy, PluginError
            )


def _alike(theta: Theta, other: Theta) -> bool:
    """Bit for bit, but for NaN, which is told where measurements are."""
    return theta.keys() == other.keys() and all(
        torch.equal(value.nan_to_num(), other[name].nan_to_num()) for name, value in theta.items()
    )


def require_as_declared(name: str, declared: frozenset[str] | None, sensor: Measurement) -> None:
    """Recipes are checked by what options declare, and training goes by the sensor. Raises PluginError."""
    truths = {
        "exact": bool(sensor.exact),
        "random": bool(sensor.random),
        "pixelwise": bool(getattr(sensor, "pixelwise", False)),
        "flip": "flip" in sensor.symmetric,
        "no_gradient": getattr(sensor, "gradient", "exact") == "none",
    }
    for fact, truth in truths.items():
        if declared is not None and (fact in declared) != truth and not (truth and fact in MODEST):
            raise PluginError(
                f"{name}: its options declare {fact}={fact in declared}, the sensor says "
                f"{fact}={truth}; make facts() and the attribute agree"
            )
