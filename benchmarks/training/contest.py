"""Several loops in turn, A B C A B C ..., each in a process of its own, so that its memory is its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from .setting import ROOT, Setting


@dataclass(frozen=True)
class Contender:
    """A loop by its module and name, how it is called in the tables, and the Python that runs it."""

    name: str
    loop: str
    precision: str = "fp32"
    python: str = sys.executable

    @property
    def own(self) -> bool:
        """Whether it is ambientkit's."""
        return self.loop.startswith("own:")


@dataclass(frozen=True)
class Length:
    """How long a contest is: `turns` of `steps` each, and no new round after `seconds`."""

    steps: int = 2
    turns: int = 15
    seconds: float = 1800.0


@dataclass(frozen=True)
class Row:
    """What was measured of a contender: seconds a step in each of its turns, on the wall and of all cores;
    FLOPs a step; memory."""

    name: str
    precision: str
    own: bool
    batch: int
    seconds: tuple[float, ...]
    core: tuple[float, ...]
    flop: int
    peak_mb: float

    @property
    def median(self) -> float:
        """Seconds a step."""
        return statistics.median(self.seconds)

    @property
    def core_median(self) -> float:
        """Seconds of all cores a step."""
        return statistics.median(self.core)

    @property
    def spread(self) -> float:
        """From the first to the third quartile, as a share of the median; 0 for a single turn."""
        if len(self.seconds) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (third - first) / self.median

    def figures(self, peak: float | None) -> dict[str, Any]:
        """For JSON; `peak` is the machine's convolution peak in FLOP/s at this precision, if known."""
        rate = self.flop / self.median
        return {
            "precision": self.precision,
            "own": self.own,
            "seconds": list(self.seconds),
            "median": self.median,
            "spread": self.spread,
            "core": list(self.core),
            "core_median": self.core_median,
            "steps_per_second": 1 / self.median,
            "pictures_per_second": self.batch / self.median,
            "gflop_per_step": self.flop / 1e9,
            "gflop_per_second": rate / 1e9,
            "share_of_peak": None if peak is None else rate / peak,
            "peak_mb": self.peak_mb,
        }


class Worker:
    """A contender's process. Raises RuntimeError where it ends by itself."""

    def __init__(self, contender: Contender, setting: Setting) -> None:
        self.contender = contender
        setting = replace(setting, precision=contender.precision)
        self._process = subprocess.Popen(
            [contender.python, "-m", "benchmarks.training.worker", contender.loop, setting.to_json()],
            cwd=ROOT,
            env=_environment(setting.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()  # it has warmed up

    def ask(self, command: str) -> dict[str, float]:
        """Its answer to a command."""
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the loop {self.contender.name!r} ended with {self._process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Without a line to read it ends by itself."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _environment(threads: int) -> dict[str, str]:
    """As many threads for whatever counts them before torch is told."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONWARNINGS": "ignore"}


def contest(contenders: Sequence[Contender], setting: Setting, length: Length) -> list[Row]:
    """A row for each contender, in their order."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(each, setting)) for each in contenders]
        told = zip(*_rounds(workers, length), strict=True)
        return [_row(*each, setting, length) for each in zip(workers, told, strict=True)]


def _rounds(workers: Sequence[Worker], length: Length) -> Iterator[list[dict[str, float]]]:
    """What each worker answers, round by round; there is always one."""
    begun = time.monotonic()
    for number in range(length.turns):
        if number and time.monotonic() - begun > length.seconds:
            return
        yield [worker.ask(f"steps {length.steps}") for worker in workers]


def _row(worker: Worker, told: Sequence[dict[str, float]], setting: Setting, length: Length) -> Row:
    """Memory is what it was before FLOPs were counted, which takes some."""
    seconds, core = (tuple(each[clock] / length.steps for each in told) for clock in ("seconds", "core"))
    return Row(
        name=worker.contender.name,
        precision=worker.contender.precision,
        own=worker.contender.own,
        batch=setting.batch,
        seconds=seconds,
        core=core,
        flop=int(worker.ask("flop")["flop"]),
        peak_mb=told[-1]["peak_mb"],
    )


def ratios(rows: Sequence[Row], figure: Callable[[Row], float]) -> dict[str, dict[str, float]]:
    """How many times as long as each of ambientkit's loops every loop takes for a step."""
    return {row.name: {own.name: figure(row) / figure(own) for own in rows if own.own} for row in rows}
