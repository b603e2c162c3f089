"""Data that arrive measured, looked at beside the sensor that the recipe gives for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from ambientkit.data_check import measured_of
from ambientkit.draws import drawn
from ambientkit.errors import DataError
from ambientkit.interfaces import Context, Dataset, Measured, Measurement, Shape
from ambientkit.recipe import Plan
from ambientkit.streams import stream

log = logging.getLogger("ambientkit")

EXACT = 3.0  # so far beyond [-1, 1] a law may have tails
LOOKED_AT = 16  # samples that arrive measured, at once: each may be large
DOUBTFUL = 10.0  # times what a sensor makes of pictures: so far apart the units are likely to be others


def require_of_the_sensor(
    plan: Plan, dataset: Dataset, training: Sequence[int], sensor: Measurement, context: Context
) -> None:
    """The first of them have the sensor's shapes and units. Raises DataError, or warns of units."""
    assert context.image_shape is not None
    some = measured_of(dataset, training[:LOOKED_AT])
    _require_shapes(plan, some, context)
    _require_units(plan, some, sensor, context.image_shape)


def hidden_in(dataset: Dataset, training: Sequence[int]) -> torch.Tensor | None:
    """Masks (N, 1, H, W) of what is hidden, warned of where they look wrong; None where nothing tells."""
    hidden = _training_masks(dataset, training)
    if hidden is not None and len(hidden):
        _warn_of(hidden)
    return hidden


def _require_shapes(plan: Plan, some: Measured, context: Context) -> None:
    """Data that arrive measured must look as the sensor's fakes will. Raises DataError."""
    known = {name: tuple(value.shape[1:]) for name, value in (some.known or {}).items()}
    came = (tuple(some.y.shape[1:]), known)
    wanted = (context.measured_shape, dict(context.known_shapes))
    for what, have, want in zip(("measurements of shape", "as known"), came, wanted, strict=True):
        if have != want:
            source, sensor = plan.source.registered.name, plan.measurement.registered.name
            raise DataError(
                f"data set {source} has {what} {have or 'nothing'}, but the sensor {sensor} gives "
                f"{want or 'nothing'} of pictures {context.image_shape}; make the sensor's options those of "
                "the instrument, and data.source.image_shape the pictures behind the data"
            )


def _require_units(plan: Plan, some: Measured, sensor: Measurement, shape: Shape) -> None:
    """Pictures are in [-1, 1]: no fake is like data in other units. Raises DataError, or warns."""
    if some.y.dtype == torch.uint8:
        return
    y = some.y if some.observed is None else some.y.masked_fill(~some.observed, 0)
    reach, limit = _farthest(y), _reach(sensor, shape)
    told = (
        f"data set {plan.source.registered.name}: values reach {reach:.4g}, but those that the sensor "
        f"{plan.measurement.registered.name} makes of pictures in [-1, 1] reach {limit:.4g}"
    )
    remedy = "bring the data to the sensor's units, with data.source.value_range if it is measured_array"
    if sensor.exact and reach > EXACT * limit:
        raise DataError(f"{told}; {remedy}")
    if reach > DOUBTFUL * limit:
        log.warning("%s: fakes may be told apart; %s", told, remedy)


def _reach(sensor: Measurement, shape: Shape) -> float:
    """The largest absolute value that the sensor makes of white, black and random pictures."""
    if sensor.exact:
        return 1.0
    draws = stream(0, "units")
    ends = torch.ones(2, *shape) * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    pictures = torch.cat([ends, torch.rand(2, *shape, generator=draws) * 2 - 1])
    return _farthest(sensor.measure(pictures, drawn(sensor, 4, shape, draws)))


def _farthest(values: torch.Tensor) -> float:
    """The largest absolute value; no copy of them all is made."""
    least, most = values.aminmax()
    return max(-least.item(), most.item())


def _training_masks(dataset: Dataset, training: Sequence[int]) -> torch.Tensor | None:
    """What was hidden in the training samples alone: theta' must not know the held-out ones' masks."""
    masks = []
    for start in range(0, len(training), LOOKED_AT):
        observed = measured_of(dataset, training[start : start + LOOKED_AT]).observed
        if observed is None:
            return None
        masks.append(~observed.all(1, keepdim=True))
    return torch.cat(masks)


def _warn_of(hidden: torch.Tensor) -> None:
    """Say so where masks leave something out for ever, or look as if they meant the contrary."""
    always, share = hidden.all(0).float().mean().item(), hidden.float().mean().item()
    if always:
        log.warning(
            "%.0f %% of the pixels are hidden in every sample: what is there cannot be learnt", 100 * always
        )
    if share > 0.5:
        log.warning(
            "%.0f %% of what was measured is hidden; if the masks say what was seen, turn them round "
            "(data.source.invert of incomplete)",
            100 * share,
        )
    if not share:
        log.warning("nothing is hidden in any sample: fakes with holes are told apart; are the masks right?")
