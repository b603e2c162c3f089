"""Every hook, on one page.

Registration hooks run once on each installed plugin and only return records. Lifecycle hooks run
only on the callbacks that a recipe lists: installing a package never changes a run, naming it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from ambientkit.registry import Component

if TYPE_CHECKING:
    from ambientkit.interfaces import RunInfo, StepReport

HOOK_API = 1
"""The number that every plugin states as `AMBIENTKIT_HOOK_API`; it rises when a hook changes."""

hookspec = pluggy.HookspecMarker("ambientkit")
hookimpl = pluggy.HookimplMarker("ambientkit")


class Registration:
    """What a plugin offers. Each hook yields `Component` records and does nothing else."""

    @hookspec
    def register_datasets(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Where pictures, or measurements that were already made, come from (contract: `Dataset`)."""

    @hookspec
    def register_measurements(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Sensors: how information is lost (contract: `Measurement`)."""

    @hookspec
    def register_generators(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Networks that complete measurements, or make images from a latent (contract: `Generator`)."""

    @hookspec
    def register_discriminators(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Networks that tell real measurements from fake ones (contract: `Discriminator`)."""

    @hookspec
    def register_objectives(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Adversarial games: the terms that each player minimises (contract: `Objective`)."""

    @hookspec
    def register_fidelities(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Terms that tie the generator to what was measured (contract: `Fidelity`)."""

    @hookspec
    def register_metrics(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Figures on held-out pictures (contract: `Metric`)."""

    @hookspec
    def register_callbacks(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Observers of a run: objects with the lifecycle hooks below."""


class Lifecycle:
    """What a callback is told, in the order of a run. Observers: they change nothing.

        run_start ── step_end ─┬─ (evaluation) ─ (checkpoint) ─┬── run_end
                               └──────── next step ────────────┘

    An implementation may leave out arguments that it does not need.
    """

    @hookspec
    def on_run_start(self, run: RunInfo) -> None:
        """Before the first step, of a resumed run too.

        `run` has `name`, `folder`, `resolved` (the whole recipe with its defaults), `total_steps`,
        `batch_size`, `first_step` (0, or where a resumed run goes on) and `labels`, which every result
        must show.
        """

    @hookspec
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """After every step.

        `report.step` counts from 1. `report.terms()` are the step's terms by `player/name`;
        `report.samples(n)` completes the first n held-out pictures. Both cost time when they are called,
        and nothing otherwise.
        """

    @hookspec
    def on_evaluation(self, run: RunInfo, step: int, figures: Mapping[str, float]) -> None:
        """After the metrics that were due at `step`, the untrained network's at step 0 among them.

        `figures` has those that were taken now, by name.
        """

    @hookspec
    def on_checkpoint(self, run: RunInfo, step: int, folder: Path) -> None:
        """After a checkpoint is complete in `folder`, which lies below `run.folder`."""

    @hookspec
    def on_run_end(self, run: RunInfo, step: int, outcome: str) -> None:
        """Always last, at whatever `step` the run ended.

        `outcome` is `finished`, `interrupted` or `failed`.
        """
