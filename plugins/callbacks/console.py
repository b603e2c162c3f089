"""Progress on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ambientkit import hookimpl
from ambientkit.interfaces import RunInfo, StepReport

LOGGER = "ambientkit.console"


class ConsoleProgress:
    """Shows how a run goes; terms are read every `every` steps."""

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._console: Console | None = None
        self._live: Live | None = None
        self._bar = Progress()
        self._task = TaskID(0)
        self._terms = Text(no_wrap=True, overflow="ellipsis")
        self._began = 0.0

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Open the bar, unless the logger is set above INFO."""
        if not logging.getLogger(LOGGER).isEnabledFor(logging.INFO):
            return
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._bar = _progress_bar(self._console)
            self._task = self._bar.add_task(
                run.name, total=run.total_steps, completed=run.first_step, speed=""
            )
            self._live = Live(Group(self._bar, self._terms), console=self._console)
            self._live.start()

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """Advance; every so many steps, and at the last, say the terms."""
        if self._console is None:
            return
        if self._live:
            self._bar.update(self._task, completed=report.step)
        if report.step % self.every and report.step != run.total_steps:
            return
        terms = named(report.terms())  # read first: only then has the device finished the step
        pace = (report.step - run.first_step) / max(time.monotonic() - self._began, 1e-9)
        speed = f"{pace * run.batch_size:.1f} pictures/s"
        if self._live:
            self._bar.update(self._task, speed=speed)
            self._terms.plain = terms
        else:
            left = timedelta(seconds=round((run.total_steps - report.step) / pace))
            self._say(f"step {report.step}/{run.total_steps}  {speed}  {left} left  {terms}")

    @hookimpl
    def on_evaluation(self, run: RunInfo, step: int, figures: Mapping[str, float]) -> None:
        """Say the figures."""
        self._say(f"step {step}  {named(figures)}")

    @hookimpl
    def on_checkpoint(self, run: RunInfo, step: int, folder: Path) -> None:
        """Say where the checkpoint is."""
        self._say(f"step {step}  checkpoint {folder}")

    @hookimpl
    def on_run_end(self, run: RunInfo, step: int, outcome: str) -> None:
        """Close the bar and say how it ended."""
        if self._live:
            with self._shown():
                self._live.stop()
            self._live = None
        self._say(f"{outcome} at step {step}/{run.total_steps}")
        self._console = None

    def _say(self, line: str) -> None:
        if self._console:
            with self._shown():
                self._console.print(line, markup=False)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """A terminal that is gone ends what is shown, and not the run."""
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._console = self._live = None


def named(values: Mapping[str, float]) -> str:
    """`real 0.51  fake 0.49`, four digits each."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


def _progress_bar(console: Console) -> Progress:
    """The terms have a line of their own below, which is cut on a narrow terminal, and nothing else."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[speed]}", markup=False),
        console=console,
    )
