"""How a run begins and ends: its folder, what run.json says of it, its last figures. Imports no torch."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ambientkit import run_folder
from ambientkit.containment import contained
from ambientkit.recipe import Plan
from ambientkit.registry import Registry
from ambientkit.surroundings import logged, status_kept

if TYPE_CHECKING:
    from ambientkit.machine import Machine
    from ambientkit.trainer import Trainer

log = logging.getLogger("ambientkit")


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `figures` are the last of each metric, `rows` the same for the yardsticks."""

    folder: Path
    step: int
    seconds: float
    figures: Mapping[str, float]
    rows: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def new_folder(
    plan: Plan, machine: Machine, plugins: Sequence[Mapping[str, str]], facts: Mapping[str, Any], out: Path
) -> Path | None:
    """The run's folder below `out`, with its recipe and run.json; made by the first process alone."""
    if not machine.group.leads:
        return None
    record = {**_begun(plan, machine), "plugins": list(plugins), **facts}
    return run_folder.create(out, plan.recipe.name, plan.recipe.seed, partial(_fill, plan, record))


def _fill(plan: Plan, record: Mapping[str, Any], folder: Path) -> None:
    run_folder.write_recipe(folder, plan.text, plan.resolved())
    run_folder.write_json(folder / "run.json", record)


def _begun(plan: Plan, machine: Machine) -> dict[str, Any]:
    packages = ("ambientkit", "torch", "torchvision", "numpy")
    return {
        "format": run_folder.FORMAT,
        "name": plan.recipe.name,
        "status": "begun",
        "step": 0,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": str(machine.device),
        "precision": "bf16" if machine.bf16 else "fp32",
        "compiled": machine.compiled,
        "processes": machine.group.size,
        "job": list(machine.group.job),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }


def as_before(record: Mapping[str, Any], precision: str, compile: str) -> tuple[str, str]:
    """The precision and compilation that a run was made with, unless something else is asked for."""
    before = "on" if record.get("compiled") else "off"
    return record["precision"] if precision == "auto" else precision, before if compile == "auto" else compile


def finish(trainer: Trainer, machine: Machine, registry: Registry) -> RunResult:
    """Train to the end; the first process keeps log, status and the last figures."""
    begun = time.monotonic()
    if not machine.group.leads:
        with contained(registry):
            trainer.train()
        machine.group.close()
        return RunResult(trainer.folder, trainer.step, time.monotonic() - begun, {}, {}, trainer.info.labels)
    with logged(trainer.folder), status_kept(trainer), contained(registry):
        info = trainer.info
        log.info("%s on %s, from step %d of %d", info.name, machine, trainer.step, info.total_steps)
        trainer.train()
        machine.group.close()
        rows = trainer.yardsticks()
    seconds = time.monotonic() - begun + run_folder.read_run(trainer.folder).get("seconds", 0.0)
    _record_end(trainer, seconds, rows)
    return RunResult(trainer.folder, trainer.step, seconds, trainer.figures, rows, trainer.info.labels)


def _record_end(trainer: Trainer, seconds: float, rows: Mapping[str, Mapping[str, float]]) -> None:
    run_folder.update_run(
        trainer.folder,
        status="finished",
        step=trainer.step,
        seconds=round(seconds, 1),
        figures={"final": trainer.figures, **rows},
    )
