"""A run's held-out pictures as training measured them, and that two runs have the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ambientkit.assembly import build_method, context_of_metrics, held_out_of, open_data
from ambientkit.completion import TrainedRun
from ambientkit.data import HoldOut, files_read
from ambientkit.errors import InputError, RunFolderError
from ambientkit.evaluation import Completer
from ambientkit.interfaces import Context
from ambientkit.recipe import Plan


@dataclass(frozen=True)
class Held:
    """A run, its network and method, and the pictures that it never trained on."""

    trained: TrainedRun
    plan: Plan
    record: Mapping[str, Any]
    pictures: HoldOut
    complete: Completer
    context: Context
    step: int
    called: str = ""  # where another run has the same short name

    @property
    def name(self) -> str:
        """The run's folder, shortly where that tells it apart."""
        return self.called or f"{self.plan.recipe.name}/{self.trained.folder.name}"


def told_apart(runs: Sequence[Held]) -> list[Held]:
    """The runs by whole paths where short names are the same: rows of a table go by their names."""
    names = [run.name for run in runs]
    return [
        replace(run, called=str(run.trained.folder)) if names.count(run.name) > 1 else run for run in runs
    ]


def require_other_runs(folders: Sequence[Path]) -> None:
    """Raises InputError where one run is given twice: with one checkpoint, its row would stand for both."""
    places = [folder.resolve() for folder in folders]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise InputError(f"{folders[number]}: this run is given twice; give --against other runs")


def open_held_out(trained: TrainedRun, plan: Plan, record: Mapping[str, Any], step: int) -> Held:
    """Measure the held-out pictures as training did.

    Raises RunFolderError where the data are not those of the run, InputError where none were held out.
    """
    opened = open_data(plan)
    fingerprint = opened.source.dataset.fingerprint
    if fingerprint != record["data"]["fingerprint"]:
        raise RunFolderError(
            f"{trained.folder}: the data set has changed since the run was trained on it (fingerprint "
            f"{fingerprint[:12]}, then {record['data']['fingerprint'][:12]}); restore it, or say with "
            "data.source.KEY=VALUE where it lies now"
        )
    pictures = held_out_of(plan, opened)
    if pictures is None:
        raise InputError(f"{trained.folder}: the run held out no pictures (data.holdout is 0); none are left")
    method = build_method(plan, opened.context, opened.source.sensor)
    read = files_read(method.sensor, method.further, pictures.sensor)
    if read != record.get("sensor_files", read):
        raise RunFolderError(
            f"{trained.folder}: files that its sensors read (masks, or a run that makes them) have changed "
            "since it was trained; restore them"
        )
    complete = Completer(trained.network, method, trained.machine)
    context = context_of_metrics(opened.context, pictures)
    return Held(trained, plan, record, pictures, complete, context, step)


def require_same_pictures(one: Held, other: Held) -> None:
    """Raises InputError unless both runs hold out the same pictures with the same holes."""
    for what, mine, theirs in _compared(one, other):
        if not _same(mine, theirs):
            raise InputError(
                f"{other.trained.folder}: its held-out pictures have other {what} than those of "
                f"{one.trained.folder}; compare runs that share data, data.seed, holdout and sensor"
            )


def _compared(one: Held, other: Held) -> list[tuple[str, Tensor | None, Tensor | None]]:
    everything = [torch.arange(len(each.pictures)) for each in (one, other)]
    mine, theirs = (
        each.pictures.samples.batch(indices, 0)
        for each, indices in zip((one, other), everything, strict=True)
    )
    return [
        ("contents", one.pictures.truth, other.pictures.truth),
        ("holes", mine.observed, theirs.observed),
        ("measurements", _shown(mine.y, mine.observed), _shown(theirs.y, theirs.observed)),
    ]


def _shown(y: Tensor, observed: Tensor | None) -> Tensor:
    """What was measured, whatever a sensor writes where it hides."""
    return y if observed is None else torch.where(observed, y, 0.0)


def _same(mine: Tensor | None, theirs: Tensor | None) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return mine.shape == theirs.shape and torch.equal(mine, theirs)
