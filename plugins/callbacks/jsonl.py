"""`metrics.jsonl`: what a run measured, one JSON object a line."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ambientkit import hookimpl
from ambientkit.interfaces import RunInfo, StepReport


class JsonLines:
    """Appends {"step", "time" (seconds since 1970), values by name}; what is not finite is null."""

    def __init__(self, every: int = 50) -> None:
        self.every = every

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Remove the lines that a resumed run is going to write again."""
        file = _file(run)
        if not file.exists():
            return
        kept = [line for line, step in _lines(file) if step <= run.first_step and run.first_step]
        aside = file.with_suffix(".part")
        aside.write_text("".join(kept), encoding="utf-8")
        os.replace(aside, file)  # noqa: PTH105 - as a whole, or not at all

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """The terms, where they are due."""
        if report.step % self.every == 0 or report.step in {1, run.total_steps}:
            _append(run, report.step, report.terms())

    @hookimpl
    def on_evaluation(self, run: RunInfo, step: int, figures: Mapping[str, float]) -> None:
        """The figures, on a line of their own."""
        _append(run, step, figures)


def _file(run: RunInfo) -> Path:
    return run.folder / "metrics.jsonl"


def _lines(file: Path) -> Iterator[tuple[str, int]]:
    """Whole lines with their steps; what a crash cut short is passed over."""
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            try:
                yield line, int(json.loads(line)["step"])
            except (ValueError, KeyError, TypeError):
                continue


def _append(run: RunInfo, step: int, values: Mapping[str, float]) -> None:
    record: dict[str, Any] = {"step": step, "time": round(time.time(), 3)}
    record |= {name: value if math.isfinite(value) else None for name, value in values.items()}
    with _file(run).open("a", encoding="utf-8") as stream:  # closed, and so flushed, each time
        stream.write(json.dumps(record) + "\n")
