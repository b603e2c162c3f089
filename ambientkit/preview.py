"""What a run would be, without beginning it: everything is built and tried, and no run folder is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ambientkit.cached import cache_folder
from ambientkit.data import Progress
from ambientkit.interfaces import Shape
from ambientkit.machine import Machine
from ambientkit.preparation import prepare
from ambientkit.recipe import Plan


@dataclass(frozen=True)
class Preview:
    """The sizes of a run; `parameters` counts each network's weights, `folder` is where it would go."""

    name: str
    image_shape: Shape
    measured_shape: Shape
    training: int
    held_out: int
    batch_size: int
    total_steps: int
    parameters: Mapping[str, int]
    device: str
    folder: Path
    labels: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        shape, measured = (" x ".join(map(str, each)) for each in (self.image_shape, self.measured_shape))
        seen = "" if measured == shape else f", measured as {measured}"
        lines = [
            f"{self.name}: {self.training:,} pictures of {shape}{seen}, {self.held_out:,} held out",
            *(f"{name}: {count:,} parameters" for name, count in self.parameters.items()),
            f"{self.total_steps:,} steps of {self.batch_size} pictures on {self.device}",
            *self.labels,
            "how long that takes here: ambientkit bench",
            f"would write to {self.folder}",
        ]
        return "\n".join(lines)


def preview(plan: Plan, machine: Machine, out: Path, progress: Progress | None = None) -> Preview:
    """Make ready for a run below `out`, and say what it would be.

    The data are measured if that was never done, which the run itself then need not do. Raises what
    `Engine.run` would raise before its first step.
    """
    prepared = prepare(plan, machine, cache_folder(), progress)
    facts = prepared.facts
    return Preview(
        name=plan.recipe.name,
        image_shape=prepared.data.image_shape,
        measured_shape=tuple(facts["measured_shape"]),
        training=facts["data"]["training"],
        held_out=facts["data"]["held_out"],
        batch_size=plan.recipe.train.batch_size,
        total_steps=prepared.total_steps,
        parameters=facts["parameters"],
        device=str(machine),
        folder=out / plan.recipe.name,
        labels=prepared.labels,
        skipped=prepared.data.skipped,
    )
