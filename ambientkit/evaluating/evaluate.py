"""The rows of a table: trained runs, what needs no training, and nature, on the same pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ambientkit.baselines import classical_fills, missing_fills
from ambientkit.blending import blended
from ambientkit.blends import Blend
from ambientkit.data import Progress
from ambientkit.errors import InputError
from ambientkit.evaluating.choice import Chosen
from ambientkit.evaluating.held_out import Held
from ambientkit.evaluating.intervals import Figure, differences, draws, with_intervals
from ambientkit.evaluating.wishes import Wishes
from ambientkit.evaluation import Completer, Extras, Values, as_measured, completions, filled, nature, values
from ambientkit.interfaces import Evaluated, Measured, Metric
from ambientkit.returned import summary_of

SEED = 0  # of the pictures that are drawn anew
Figures = dict[str, Figure]
AS_MEASURED = "as measured"  # the row of the measurements themselves
UNTOLD = "the sensor does not say which pixels it hides, so there is nothing to fill"
SILENT = "it has nothing to say of these pictures and what is hidden in them (see `ambientkit describe`)"


@dataclass(frozen=True)
class Evaluation:
    """Figures by row and name; `differences` are the first row's less those of the runs beside it."""

    rows: Mapping[str, Figures]
    differences: Mapping[str, Figures]
    facts: Mapping[str, Any]
    labels: Mapping[str, Sequence[str]]
    left_out: Mapping[str, str]
    pictures: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)

    def plain(self) -> dict[str, Any]:
        """All of it but the pictures, as JSON has it."""
        return {
            **self.facts,
            "rows": _plain(self.rows),
            "differences": _plain(self.differences),
            "labels": {name: list(labels) for name, labels in self.labels.items() if labels},
            "left_out": dict(self.left_out),
        }


def _plain(rows: Mapping[str, Figures]) -> dict[str, Any]:
    return {
        row: {name: [f.value, f.low, f.high] for name, f in figures.items()} for row, figures in rows.items()
    }


def evaluate(
    runs: Sequence[Held],
    chosen: Chosen,
    wishes: Wishes,
    progress: Progress,
) -> Evaluation:
    """Figures of the first run's held-out pictures, completed by each run and, if wished, by baselines."""
    ours, metrics = runs[0], chosen.metrics
    extras = Extras.of(metrics.values(), ours.plan.recipe.data.seed, wishes.fills)
    rows = dict(_rows(runs, wishes, extras))
    found: dict[str, Values] = {}
    shown: dict[str, torch.Tensor] = {}
    for number, (name, batches) in enumerate(rows.items()):
        progress("evaluating", number, len(rows))
        found[name] = values(metrics, _showing(batches, name, shown))
    progress("evaluating", len(rows), len(rows))
    redrawn = draws(len(ours.pictures), wishes.bootstrap, SEED)
    mine = found[ours.name]
    silent = [name for name in metrics if name not in mine or not summary_of(metrics[name], mine[name])]
    return Evaluation(
        rows={name: _figures(metrics, each, redrawn) for name, each in found.items()},
        differences={
            run.name: _differences(metrics, found[ours.name], found[run.name], redrawn) for run in runs[1:]
        },
        facts={**_facts(ours, wishes), "runs": {run.name: _of(run) for run in runs}},
        labels={run.name: run.record.get("labels", []) for run in runs},
        left_out={**chosen.left_out, **dict.fromkeys(silent, SILENT), **_missing_fills(ours, wishes)},
        pictures=shown,
    )


def _missing_fills(ours: Held, wishes: Wishes) -> dict[str, str]:
    """Why classical fills have no row, by name."""
    if not (wishes.baselines and ours.trained.completes):
        return {}
    channels = _channels(ours)
    missing = missing_fills(channels)
    if _first(ours).observed is None:
        return dict.fromkeys([*classical_fills(channels, slow=True), *missing], UNTOLD)
    return missing


def _first(held: Held) -> Measured:
    """The first held-out picture's measurement."""
    return held.pictures.samples.batch(torch.arange(1), 0)


def _channels(held: Held) -> int:
    return held.context.image_shape[0] if held.context.image_shape else 3


def _rows(runs: Sequence[Held], wishes: Wishes, extras: Extras) -> Iterator[tuple[str, Iterator[Evaluated]]]:
    ours = runs[0]
    size = ours.plan.recipe.evaluation.batch_size
    for run in runs:
        yield run.name, _completed(run, wishes.blend, size, extras)
    if wishes.baselines and ours.trained.completes:
        yield from _untrained(ours, size, extras)
    if wishes.baselines and ours.pictures.truth is not None:
        yield "nature", nature(ours.pictures, size, extras)


def _untrained(ours: Held, size: int, extras: Extras) -> Iterator[tuple[str, Iterator[Evaluated]]]:
    """Classical fills; where nobody knows what is hidden, the measurements, if they are pictures."""
    first = _first(ours)
    if first.observed is not None:
        for name, fill in classical_fills(_channels(ours), slow=True).items():
            yield name, filled(fill, ours.pictures, size, extras)
    elif tuple(first.y.shape[1:]) == tuple(ours.trained.image_shape):
        yield AS_MEASURED, as_measured(ours.pictures, size)


def _completed(run: Held, blend: Blend, size: int, extras: Extras) -> Iterator[Evaluated]:
    run.trained.require_blend(blend)
    complete = run.complete if blend == "none" else Blending(run.complete, blend)
    return completions(complete, run.pictures, size, extras=extras)


class Blending:
    """A completer whose fills are fitted to their surroundings."""

    def __init__(self, complete: Completer, blend: Blend) -> None:
        self.complete = complete
        self.blend: Blend = blend

    def __call__(self, measured: Any, *counters: int | str) -> tuple[torch.Tensor, torch.Tensor]:
        """(made, completed), both blended: what stands in the hole is what is judged."""
        made, _ = self.complete(measured, *counters)
        if measured.observed is None:
            raise InputError("there is nothing to blend into: the sensor does not say which pixels it hides")
        fitted = blended(self.blend, made, measured.y, measured.observed)
        return torch.where(measured.observed, made, fitted), fitted


def _showing(
    batches: Iterable[Evaluated], name: str, shown: dict[str, torch.Tensor], count: int = 16
) -> Iterator[Evaluated]:
    """The batches themselves; the first pictures of the first one are kept to be looked at."""
    for number, batch in enumerate(batches):
        if number == 0:
            if batch.truth is not None:
                shown.setdefault("truth", batch.truth[:count])
            if batch.y.dim() == 4:
                shown.setdefault("measured", batch.y[:count])
            shown[name] = batch.completed[:count]
        yield batch


def _figures(metrics: Mapping[str, Metric], found: Values, redrawn: list[torch.Tensor]) -> Figures:
    named: Figures = {}
    for name, each in found.items():
        named |= with_intervals(metrics[name], each, redrawn)
    return named


def _differences(
    metrics: Mapping[str, Metric], ours: Values, theirs: Values, redrawn: list[torch.Tensor]
) -> Figures:
    named: Figures = {}
    for name in (name for name in ours if name in theirs):
        named |= differences(metrics[name], ours[name], theirs[name], redrawn)
    return named


def _of(held: Held) -> dict[str, Any]:
    """What a row of a run is of."""
    return {
        "folder": str(held.trained.folder.resolve()),
        "step": held.step,
        "seed": held.plan.recipe.seed,
        "precision": "bf16" if held.trained.machine.bf16 else "fp32",
    }


def _facts(held: Held, wishes: Wishes) -> dict[str, Any]:
    recipe = held.plan.recipe
    return {
        "run": str(held.trained.folder),
        "recipe": recipe.name,
        "seed": recipe.seed,
        "step": held.step,
        "data": {"fingerprint": held.record["data"]["fingerprint"], "seed": recipe.data.seed},
        "pictures": len(held.pictures),
        "blend": wishes.blend,
        "bootstrap": wishes.bootstrap,
        "fills": wishes.fills,
        "machine": str(held.trained.machine),
        "torch": torch.__version__,
    }
