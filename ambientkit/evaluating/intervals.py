"""How sure a figure is: pictures drawn anew with replacement (Efron and Tibshirani 1993, ch. 13).

A set that is drawn so has pictures twice, which moves figures of pairs of pictures to one side. Their spread
is right all the same, so intervals lie about the figure itself: the mean of the redrawn ones is moved there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ambientkit.interfaces import Metric
from ambientkit.returned import summary_of
from ambientkit.streams import stream

COVERED = (0.025, 0.975)
Picked = Mapping[str, Tensor]


@dataclass(frozen=True)
class Figure:
    """A figure with the interval of 95 % of the redrawn ones about it; None where that says nothing."""

    value: float
    low: float | None = None
    high: float | None = None


def draws(pictures: int, count: int, seed: int) -> list[Tensor]:
    """`count` times the indices of `pictures` pictures, drawn with replacement."""
    generator = stream(seed, "bootstrap")
    return [torch.randint(pictures, (pictures,), generator=generator) for _ in range(count)]


def with_intervals(metric: Metric, values: Picked, redrawn: list[Tensor]) -> dict[str, Figure]:
    """The metric's figures over all pictures, each with its interval."""
    summary = summary_of(metric, values)
    if not redrawn or not getattr(metric, "resampled", True):
        return {name: Figure(value) for name, value in summary.items()}
    again = metric.summaries(values, redrawn)
    return {name: _interval(value, [each.get(name) for each in again]) for name, value in summary.items()}


def differences(metric: Metric, ours: Picked, theirs: Picked, redrawn: list[Tensor]) -> dict[str, Figure]:
    """Our figures less theirs, of the same pictures, redrawn together: their luck is shared."""
    one, other = summary_of(metric, ours), summary_of(metric, theirs)
    common = {name: one[name] - other[name] for name in one if name in other}
    if not redrawn or not getattr(metric, "resampled", True):
        return {name: Figure(value) for name, value in common.items()}
    pairs = list(zip(metric.summaries(ours, redrawn), metric.summaries(theirs, redrawn), strict=True))
    again = {
        name: [a[name] - b[name] if name in a and name in b else None for a, b in pairs] for name in common
    }
    return {name: _interval(value, again[name]) for name, value in common.items()}


def _interval(value: float, redrawn: list[float | None]) -> Figure:
    finite = [each for each in redrawn if each is not None and np.isfinite(each)]
    if len(finite) < len(redrawn):  # a figure that some draws do not have is not known to lie anywhere
        return Figure(value)
    low, high = np.quantile(finite, COVERED) + value - np.mean(finite)
    return Figure(value, float(low), float(high))
