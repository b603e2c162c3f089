"""How fast a recipe trains on this machine: its own loop for a few steps, and nothing kept."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ambientkit import recording
from ambientkit.data import Progress
from ambientkit.machine import Machine
from ambientkit.plugins import lifecycle
from ambientkit.preparation import prepare
from ambientkit.recipe import Plan
from ambientkit.trainer import Trainer

WARM_UP = recording.WARM_UP + 2  # first steps allocate, choose how to compute, and are recorded
KIB = 1024


@dataclass(frozen=True)
class Speed:
    """Seconds of a step over the steps that were timed, and what follows from them."""

    steps: int
    median: float
    fastest: float
    slowest: float
    pictures_per_second: float
    hours: float  # of all the recipe's steps, without figures and checkpoints
    memory: int | None  # bytes at most: of the GPU, or of this process; None where no system says it
    machine: str


def bench(plan: Plan, machine: Machine, cache: Path, steps: int, progress: Progress | None = None) -> Speed:
    """Time `steps` steps of a recipe, after a few that are not. Raises what a run would raise."""
    prepared = prepare(plan, machine, cache, progress)
    with tempfile.TemporaryDirectory(prefix="ambientkit-") as folder:
        trainer = prepared.trainer(Path(folder), lambda _built: lifecycle([]), warm=False)
        times = [_seconds(trainer, machine) for _ in range(WARM_UP + steps)][WARM_UP:]
    median = statistics.median(times)
    return Speed(
        steps=steps,
        median=median,
        fastest=min(times),
        slowest=max(times),
        pictures_per_second=plan.recipe.train.batch_size / median,
        hours=prepared.total_steps * median / 3600,
        memory=_memory(machine),
        machine=str(machine),
    )


def _seconds(trainer: Trainer, machine: Machine) -> float:
    begun = time.perf_counter()
    trainer.advance()
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)
    return time.perf_counter() - begun


def _memory(machine: Machine) -> int | None:
    if machine.device.type == "cuda":
        return torch.cuda.max_memory_allocated(machine.device)
    try:
        import resource
    except ImportError:  # on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KIB  # in bytes on macOS, else in KiB
