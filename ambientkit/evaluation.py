"""Figures on held-out pictures: the only module where clean pictures meet completed ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ambientkit.baselines import classical_fills
from ambientkit.data import HoldOut
from ambientkit.draws import draw_latent
from ambientkit.interfaces import Evaluated, Measured, Metric
from ambientkit.machine import Machine
from ambientkit.returned import summary_of, values_of
from ambientkit.round_trip import Method, composited
from ambientkit.streams import stream

FILLS = 8  # of a picture, where a metric compares them


@dataclass(frozen=True)
class Extras:
    """What some metrics need beside completions: `remeasured` pictures, several `fills` of each."""

    remeasured: bool = False
    fills: int = 0
    seed: int = 0

    @classmethod
    def of(cls, metrics: Iterable[Metric], seed: int, fills: int = FILLS) -> Extras:
        """What these metrics need; `fills` of a picture where one compares them."""
        metrics = list(metrics)
        several = any(getattr(metric, "needs_fills", False) for metric in metrics)
        again = any(getattr(metric, "needs_remeasured", False) for metric in metrics)
        return cls(again, fills if several else 0, seed)


Completing = Callable[..., tuple[Tensor, Tensor]]
"""(measured, *counters of the latent) -> (made, completed)."""


@dataclass(frozen=True)
class Completer:
    """A network in evaluation mode, and the method that it was trained with."""

    network: nn.Module
    method: Method
    machine: Machine

    def __call__(self, measured: Measured, *counters: int | str) -> tuple[Tensor, Tensor]:
        """(made, completed); with the latents of `counters` where it takes any."""
        here = self.machine.send(measured)
        latent = draw_latent(
            self.network,  # type: ignore[arg-type]
            self.method.image_shape,
            len(measured.y),
            0,
            ("evaluation", *counters),
            self.machine,
        )
        made = self.machine.run(self.network, here, latent)
        return made.cpu(), composited(self.method, made, here).cpu()


@torch.no_grad()
def completions(
    complete: Completing, held_out: HoldOut, size: int, limit: int | None = None, extras: Extras | None = None
) -> Iterator[Evaluated]:
    """The first `limit` held-out pictures, completed `size` at a time."""
    extras = extras or Extras()
    for number, (measured, truth) in enumerate(held_out.batches(size, limit)):
        made, completed = complete(measured, number)
        fills = [complete(measured, number, "fill", each)[1] for each in range(extras.fills)]
        again = remeasured(completed, held_out, extras.seed, number) if extras.remeasured else None
        several = torch.stack(fills) if fills else None
        yield Evaluated(measured.y, measured.observed, made, completed, truth, again, several)


def remeasured(completed: Tensor, held_out: HoldOut, seed: int, number: int) -> Tensor | None:
    """Completed pictures under the held-out pictures' own sensor and an independent theta."""
    if held_out.sensor is None:
        return None
    sensor, shape = held_out.sensor, tuple(completed.shape[1:])
    theta = sensor.sample(len(completed), shape, stream(seed, "remeasured", number))
    return sensor.measure(completed, theta)


def filled(
    fill: Callable[[Tensor, Tensor], Tensor], held_out: HoldOut, size: int, extras: Extras | None = None
) -> Iterator[Evaluated]:
    """Held-out pictures completed by a classical method (y, observed) -> completed, the yardstick.

    There are none where the sensor does not say what it observed.
    """
    extras = extras or Extras()
    for number, (measured, truth) in enumerate(held_out.batches(size)):
        if measured.observed is not None:
            completed = fill(measured.y, measured.observed)
            again = remeasured(completed, held_out, extras.seed, number) if extras.remeasured else None
            yield Evaluated(measured.y, measured.observed, completed, completed, truth, again)


def as_measured(held_out: HoldOut, size: int) -> Iterator[Evaluated]:
    """Measurements that have the shape of pictures in place of completions: what restoring has to better.

    They are not measured again.
    """
    for measured, truth in held_out.batches(size):
        yield Evaluated(measured.y, measured.observed, measured.y, measured.y, truth)


def nature(held_out: HoldOut, size: int, extras: Extras | None = None) -> Iterator[Evaluated]:
    """The clean pictures themselves in place of completions: what the figures of a perfect answer are."""
    extras = extras or Extras()
    for number, (measured, truth) in enumerate(held_out.batches(size)):
        if truth is not None:
            again = remeasured(truth, held_out, extras.seed, number) if extras.remeasured else None
            yield Evaluated(measured.y, measured.observed, truth, truth, truth, again)


Values = dict[str, dict[str, Tensor]]


def values(metrics: Mapping[str, Metric], evaluated: Iterable[Evaluated]) -> Values:
    """What each metric says of every picture; a metric that has nothing to say of them is absent."""
    found: dict[str, dict[str, list[Tensor]]] = {name: {} for name in metrics}
    for batch in evaluated:
        for name, metric in metrics.items():
            if not _has_what_it_needs(metric, batch):
                continue
            for key, value in values_of(metric, batch).items():
                found[name].setdefault(key, []).append(value)
    return {
        name: {key: torch.cat(parts) for key, parts in keys.items()} for name, keys in found.items() if keys
    }


def _has_what_it_needs(metric: Metric, batch: Evaluated) -> bool:
    needs = {
        "needs_truth": batch.truth,
        "needs_remeasured": batch.remeasured,
        "needs_fills": batch.fills,
    }
    return not any(getattr(metric, need, False) and part is None for need, part in needs.items())


def figures(metrics: Mapping[str, Metric], evaluated: Iterable[Evaluated]) -> dict[str, dict[str, float]]:
    """Each metric's summary over all pictures; a metric that has no value there is absent."""
    return {name: summary_of(metrics[name], found) for name, found in values(metrics, evaluated).items()}


Summaries: TypeAlias = Mapping[str, Mapping[str, float]]


def flat(summaries: Summaries, beside: Summaries | None = None) -> dict[str, float]:
    """All figures by their own names; of two metrics that give one name, the later's bears the metric's too.

    `beside` has the summaries of all metrics, where `summaries` are some of them: names stay what they are.
    """
    owners: dict[str, str] = {}
    for metric, summary in (beside or summaries).items():
        owners |= {name: metric for name in summary if name not in owners}
    return {
        name if owners[name] == metric else f"{metric}.{name}": value
        for metric, summary in summaries.items()
        for name, value in summary.items()
    }


def yardsticks(
    metrics: Mapping[str, Metric], held_out: HoldOut, size: int, fills: bool, extras: Extras | None = None
) -> dict[str, dict[str, float]]:
    """The metrics of what needs no training: classical fills (if `fills`) and the clean pictures."""
    rows: dict[str, Iterator[Evaluated]] = {}
    if fills:
        channels = next(held_out.batches(1, 1))[0].y.shape[1]
        rows = {name: filled(f, held_out, size, extras) for name, f in classical_fills(channels).items()}
    if held_out.truth is not None:
        rows["nature"] = nature(held_out, size, extras)
    figured = {name: finite(flat(figures(metrics, row))) for name, row in rows.items()}
    return {name: row for name, row in figured.items() if row}


def finite(row: dict[str, float]) -> dict[str, float]:
    """Without figures that have no finite value, such as an unbounded PSNR of the truth itself."""
    return {name: value for name, value in row.items() if math.isfinite(value)}
