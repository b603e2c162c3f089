"""Figures on held-out pictures: the only module where clean pictures meet completed ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from ambientkit.baselines import classical_fills
from ambientkit.data import HoldOut
from ambientkit.draws import draw_latent
from ambientkit.interfaces import Evaluated, Measured, Metric
from ambientkit.machine import Machine
from ambientkit.round_trip import Method, composited

Completer = Callable[[Measured], Tensor]


@torch.no_grad()
def completions(
    network: nn.Module,
    method: Method,
    machine: Machine,
    held_out: HoldOut,
    size: int,
    limit: int | None = None,
) -> Iterator[Evaluated]:
    """The first `limit` held-out pictures, completed `size` at a time by a network in evaluation mode."""
    for number, (measured, truth) in enumerate(held_out.batches(size, limit)):
        here = machine.send(measured)
        shape = method.image_shape
        latent = draw_latent(network, shape, len(measured.y), 0, ("evaluation", number), machine)  # type: ignore[arg-type]
        made = machine.run(network, here, latent)
        completed = composited(method, made, here)
        yield Evaluated(measured.y, measured.observed, made.cpu(), completed.cpu(), truth)


def filled(fill: Callable[[Tensor, Tensor], Tensor], held_out: HoldOut, size: int) -> Iterator[Evaluated]:
    """Held-out pictures completed by a classical method (y, observed) -> completed, the yardstick.

    There are none where the sensor does not say what it observed.
    """
    for measured, truth in held_out.batches(size):
        if measured.observed is not None:
            completed = fill(measured.y, measured.observed)
            yield Evaluated(measured.y, measured.observed, completed, completed, truth)


def nature(held_out: HoldOut, size: int) -> Iterator[Evaluated]:
    """The clean pictures themselves in place of completions: what the figures of a perfect answer are."""
    for measured, truth in held_out.batches(size):
        if truth is not None:
            yield Evaluated(measured.y, measured.observed, truth, truth, truth)


def figures(metrics: Mapping[str, Metric], evaluated: Iterable[Evaluated]) -> dict[str, dict[str, float]]:
    """Each metric's summary over all pictures; a metric that has no value there is absent."""
    values: dict[str, dict[str, list[Tensor]]] = {name: {} for name in metrics}
    for batch in evaluated:
        for name, metric in metrics.items():
            if metric.needs_truth and batch.truth is None:
                continue
            for key, value in metric.per_picture(batch).items():
                values[name].setdefault(key, []).append(value)
    return {
        name: metrics[name].summary({key: torch.cat(parts) for key, parts in found.items()})
        for name, found in values.items()
        if found
    }


def flat(summaries: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """All figures by their own names; one that two metrics give is told apart by the metric's."""
    row: dict[str, float] = {}
    for metric, summary in summaries.items():
        row |= {f"{metric}.{name}" if name in row else name: value for name, value in summary.items()}
    return row


def yardsticks(
    metrics: Mapping[str, Metric], held_out: HoldOut, size: int, fills: bool
) -> dict[str, dict[str, float]]:
    """The metrics of what needs no training: classical fills (if `fills`) and the clean pictures."""
    rows: dict[str, Iterator[Evaluated]] = {}
    if fills:
        channels = next(held_out.batches(1, 1))[0].y.shape[1]
        rows = {name: filled(fill, held_out, size) for name, fill in classical_fills(channels).items()}
    if held_out.truth is not None:
        rows["nature"] = nature(held_out, size)
    figured = {name: _finite(flat(figures(metrics, row))) for name, row in rows.items()}
    return {name: row for name, row in figured.items() if row}


def _finite(row: dict[str, float]) -> dict[str, float]:
    """Without figures that have no finite value, such as the PSNR of the truth itself."""
    return {name: value for name, value in row.items() if math.isfinite(value)}
