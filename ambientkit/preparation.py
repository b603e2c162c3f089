"""All that stands ready before the first step: data, networks, metrics, callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from ambientkit import checkpoints
from ambientkit.assembly import (
    Data,
    batches,
    build,
    build_game,
    build_metrics,
    context_of_metrics,
    prepare_data,
    probe,
    references,
)
from ambientkit.data import Batches, Progress, files_read, no_progress
from ambientkit.errors import DataError
from ambientkit.interfaces import Context, RunInfo
from ambientkit.machine import Machine
from ambientkit.plugins import Named
from ambientkit.recipe import Choice, Plan
from ambientkit.schedule import Pace
from ambientkit.trainer import Trainer
from ambientkit.updates import Game

log = logging.getLogger("ambientkit")
CLEAN = "its discriminator sees clean pictures (discriminator_data)"
FRESH = "measured anew each time it is read (measure: fresh): not learning from incomplete data"


@dataclass
class Prepared:
    """A run that can begin."""

    plan: Plan
    data: Data
    game: Game
    batches: Batches

    @property
    def total_steps(self) -> int:
        """Length of the run in steps; an epoch is len(data) // batch_size of them."""
        train = self.plan.recipe.train
        if train.steps is not None:
            return train.steps
        assert train.epochs is not None
        return max(1, round(train.epochs * self.batches.per_epoch))

    @property
    def labels(self) -> tuple[str, ...]:
        """What every result of the run must say of itself."""
        recipe = self.plan.recipe
        said = {FRESH: recipe.data.measure == "fresh", CLEAN: recipe.discriminator_data is not None}
        return tuple(label for label, holds in said.items() if holds)

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of the data and the networks."""
        method, held = self.game.method, self.data.held_out
        players = {"generator": self.game.generator, "discriminator": self.game.discriminator}
        return {
            "total_steps": self.total_steps,
            "labels": list(self.labels),
            "image_shape": list(self.data.image_shape),
            "measured_shape": list(self.data.context.measured_shape or ()),
            "known_shapes": {name: list(shape) for name, shape in self.data.context.known_shapes.items()},
            "fill": self._fill,
            **self._hidden_mean,
            "sensor_files": files_read(method.sensor, method.further, held.sensor if held else None),
            "data": {
                "fingerprint": self.data.fingerprint,
                "training": len(self.data.samples),
                "held_out": len(self.data.held_out or ()),
                "skipped": list(self.data.skipped),
            },
            "parameters": {
                name: sum(weight.numel() for weight in player.network.parameters())
                for name, player in players.items()
                if player
            },
        }

    @property
    def _hidden_mean(self) -> dict[str, float]:
        """Where hidden pixels hold no constant: their mean, for pictures that no sensor has measured."""
        first = self.batches(0)
        if self._fill is not None or first.observed is None or bool(first.observed.all()):
            return {}
        hidden = first.y[~first.observed.expand_as(first.y)]
        return {"hidden_mean": round(float(hidden.float().mean()), 2)}

    @property
    def _fill(self) -> float | None:
        """What the generator sees in hidden pixels; of whole pictures, the further sensor hides some."""
        method = self.game.method
        if method.sensor.fill is None and method.further is not None:
            return method.further.fill
        return method.sensor.fill

    def trainer(
        self, folder: Path, hooks: Callable[[Sequence[object]], pluggy.PluginManager], *, warm: bool
    ) -> Trainer:
        """The trainer that writes into `folder`; `hooks` joins the recipe's callbacks with the caller's.

        `warm`: begin with the weights that `train.init_from` names (a resumed run has its own).
        """
        callbacks = [_named(choice, build(choice, self.data.context)) for choice in self.plan.callbacks]
        trainer = Trainer(
            plan=self.plan,
            game=self.game,
            batches=self.batches,
            held_out=self.data.held_out,
            metrics=build_metrics(self.plan, context_of_metrics(self.data.context, self.data.held_out)),
            folder=folder,
            hooks=hooks(callbacks),
            info=self._info(folder),
            references=references(self.plan, self.data),
        )
        origin = self.plan.recipe.train.init_from
        if warm and origin is not None:
            trainer.warm_start(checkpoints.find(Path(origin)))
        return trainer

    def _info(self, folder: Path) -> RunInfo:
        return RunInfo(
            name=self.plan.recipe.name,
            folder=folder,
            resolved=self.plan.resolved(),
            total_steps=self.total_steps,
            batch_size=self.plan.recipe.train.batch_size,
            labels=self.labels,
        )


def _named(choice: Choice, callback: object) -> Named:
    return Named(callback, f"{choice.registered.name} ({choice.registered.source})")


def prepare(plan: Plan, machine: Machine, cache: Path, progress: Progress | None = None) -> Prepared:
    """Measure the data, build the networks and try them on two pictures.

    Raises DataError or PluginError when they do not fit; nothing has been written but the store.
    """
    data, sensor = prepare_data(plan, cache, progress or no_progress)
    _require_fitting(plan, data.context)
    order = batches(plan, data)
    game = build_game(plan, data.context, sensor, machine)
    probe(game, machine.send(order(0)), clean=plan.reference is not None)
    prepared = Prepared(plan, data, game, order)
    for number, phase in Pace(plan.recipe.train, prepared.total_steps).empty_phases():
        log.warning(
            "train.phases[%d], %s: its share of %d steps is none", number, phase, prepared.total_steps
        )
    return prepared


def prepare_together(plan: Plan, machine: Machine, cache: Path, progress: Progress | None = None) -> Prepared:
    """`prepare` in every process of a group: the first one measures the data, the others find that done.

    All begin with the first one's weights. Raises InputError where batches cannot be shared out.
    """
    group, train = machine.group, plan.recipe.train
    group.divide(train.batch_size, train.accumulate)
    prepared = prepare(plan, machine, cache, progress) if group.leads else None
    group.told(None)
    prepared = prepared or prepare(plan, machine, cache)
    players = (prepared.game.generator, prepared.game.discriminator)
    group.same([player.network for player in players if player])
    return prepared


def _require_fitting(plan: Plan, context: Context) -> None:
    """What components say of the size that the data turned out to have (`data.image_size` may be null)."""
    faults = [
        f"{choice.registered.category} {choice.registered.name}: {complaint.message}; {complaint.remedy}"
        for choice in plan.chosen()
        for complaint in choice.complaints(context)
        if not complaint.warning
    ]
    if faults:
        raise DataError("\n".join(faults))
