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
        """Where pictures, or measurements that were already made, come from."""

    @hookspec
    def register_measurements(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Sensors: how information is lost."""

    @hookspec
    def register_generators(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Networks that complete measurements or make images."""

    @hookspec
    def register_discriminators(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Networks that tell real measurements from fake ones."""

    @hookspec
    def register_objectives(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Adversarial games: the terms each player minimises."""

    @hookspec
    def register_fidelities(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Terms that tie the generator to what was measured."""

    @hookspec
    def register_metrics(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Figures on held-out pictures."""

    @hookspec
    def register_callbacks(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Observers of a run: objects with the lifecycle hooks below."""


class Lifecycle:
    """What a callback is told, in the order of a run. Observers: they change nothing.

    run_start ── step_end ─┬─ (evaluation) ─ (checkpoint) ─┬── run_end
                           └──────── next step ────────────┘
    """

    @hookspec
    def on_run_start(self, run: RunInfo) -> None:
        """Before the first step, of a resumed run too (`run.first_step` says which it is)."""

    @hookspec
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """After every step; `report.terms()` and `report.samples(n)` cost something only when called."""

    @hookspec
    def on_evaluation(self, run: RunInfo, step: int, figures: Mapping[str, float]) -> None:
        """After the metrics that were due at `step`, the untrained network's at step 0 among them."""

    @hookspec
    def on_checkpoint(self, run: RunInfo, step: int, folder: Path) -> None:
        """After a checkpoint is complete in `folder`."""

    @hookspec
    def on_run_end(self, run: RunInfo, step: int, outcome: str) -> None:
        """Always last: `outcome` is `finished`, `interrupted` or `failed`."""
