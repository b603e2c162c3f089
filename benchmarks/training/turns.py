"""A loop's side of the contest: it trains for ever, and stops after each turn until it is asked again.

Commands are lines: `steps N`, `flop` (a step whose FLOPs are counted), `end`. Answers are lines of JSON.
A loop calls `stepped` after each of its steps, and knows nothing else.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

WARM_UP = 2  # steps before the first answer


class Over(BaseException):
    """The contest is over."""


class Turns:
    """Time is taken from the moment a turn is asked for to the end of its last step."""

    def __init__(self, commands: TextIO, answers: TextIO, warm_up: int = WARM_UP) -> None:
        self._commands, self._answers = commands, answers
        self._left = warm_up
        self._counter: FlopCounterMode | None = None
        self._begun = _clocks()

    def stepped(self) -> None:
        """A step is done. Returns when there is another to do; raises Over when there is none."""
        self._left -= 1
        if self._left > 0:
            return
        seconds, core = (now - then for now, then in zip(_clocks(), self._begun, strict=True))
        self._answer({"seconds": seconds, "core": core, "flop": self._counted(), "peak_mb": peak_megabytes()})
        self._next(self._commands.readline().split())

    def _counted(self) -> int:
        """FLOPs of the step, where they were asked for."""
        counter, self._counter = self._counter, None
        if counter is None:
            return 0
        counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        return int(counter.get_total_flops())

    def _next(self, command: list[str]) -> None:
        if not command or command[0] == "end":
            raise Over
        self._left = int(command[1]) if command[0] == "steps" else 1
        if command[0] == "flop":
            from torch.utils.flop_counter import FlopCounterMode  # late: it takes memory of its own

            self._counter = FlopCounterMode(display=False)
            self._counter.__enter__()  # type: ignore[no-untyped-call]
        self._begun = _clocks()

    def _answer(self, told: dict[str, float]) -> None:
        self._answers.write(json.dumps(told) + "\n")
        self._answers.flush()


def _clocks() -> tuple[float, float]:
    """Seconds on the wall, and of this process on all cores, which others do not lengthen so much."""
    return time.perf_counter(), time.process_time()


def peak_megabytes() -> float:
    """The most memory that this process had resident, in 10^6 bytes.

    Linux counts `ru_maxrss` on from the parent's, so its own mark is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6
