"""How much of a measurement is chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ambientkit.data import Source
from ambientkit.interfaces import Shape
from ambientkit.levels import to_float
from ambientkit.streams import stream

PICTURES = 8
REPEATS = 64  # thetas a picture; the standard deviation is then known to about 9 % a pixel


@dataclass(frozen=True)
class Noise:
    """How y varies with theta alone where it is observed; pictures are in [-1, 1].

    `spread`: root mean square, over pixels and pictures, of the standard deviation of y over theta:
    noise, and whatever else theta changes. `signal`: standard deviation of the mean over theta, over
    pixels and pictures. `shift`: root mean square of that mean less the picture, None where their shapes
    differ. `of`: which pictures. Figures are None where no pixel was observed twice.
    """

    spread: float | None
    signal: float | None
    shift: float | None
    of: str


def noise_level(source: Source, indices: list[int], shape: Shape) -> Noise:
    """Measure a few pictures, each under REPEATS thetas: training ones, or mid-grey where none is clean."""
    if source.dataset.arrives_measured:
        images, of = torch.zeros(1, *shape), "a mid-grey picture, since the data have no clean ones"
    else:
        chosen = indices[:PICTURES]
        images = to_float(source.dataset.images(chosen), source.dataset.value_range)
        of = f"{len(chosen)} training pictures"
    figures = [_of_picture(source, image, number) for number, image in enumerate(images)]
    variance, error, mean, change = (torch.cat(column) for column in zip(*figures, strict=True))
    return Noise(_root(variance), _root((mean - mean.mean()).square() - error), _root(change), of)


def _of_picture(source: Source, image: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of y over theta: variance, squared error of the mean, mean, squared change; flat, float64.

    Where y was observed twice or more. The change is without what the error of the mean adds to it.
    """
    shape = tuple(image.shape)
    theta = source.sensor.sample(REPEATS, shape, stream(source.seed, "inspect noise", number))
    y = source.sensor.measure(image.expand(REPEATS, *shape), theta).double()
    observed = source.sensor.observed(theta, shape)
    fits = observed is not None and y.dim() == observed.dim() and y.shape[-2:] == observed.shape[-2:]
    seen = observed.expand(y.shape) if fits and observed is not None else torch.ones_like(y, dtype=torch.bool)
    count = seen.sum(0)
    twice = count > 1
    mean = torch.where(seen, y, 0.0).sum(0)[twice] / count[twice]
    squares = torch.where(seen, y, 0.0)[:, twice].sub(mean).where(seen[:, twice], 0.0).square().sum(0)
    variance = squares / (count[twice] - 1)
    error = variance / count[twice]
    if y.shape[1:] != image.shape:
        return variance, error, mean, mean[:0]
    return variance, error, mean, (mean - image.double()[twice]).square() - error


def _root(squares: Tensor) -> float | None:
    return _number(squares.mean().clamp(min=0).sqrt())


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
