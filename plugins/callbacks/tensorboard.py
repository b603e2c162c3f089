"""Curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ambientkit import hookimpl
from ambientkit.errors import PluginError
from ambientkit.interfaces import RunInfo, StepReport


class TensorBoard:
    """Writes terms every `every` steps, and figures as they come. Raises PluginError without TensorBoard."""

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self._writer_class = _writer_class()
        self._writer: Any = None

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Open the log; of a resumed run, hide what comes after its checkpoint."""
        purge = run.first_step + 1 if run.first_step else None
        self._writer = self._writer_class(str(run.folder / "tensorboard"), purge_step=purge)

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """The terms, where they are due."""
        if report.step % self.every == 0 or report.step in {1, run.total_steps}:
            self._write(report.step, report.terms())

    @hookimpl
    def on_evaluation(self, run: RunInfo, step: int, figures: Mapping[str, float]) -> None:
        """The figures."""
        self._write(step, figures)

    @hookimpl
    def on_run_end(self, run: RunInfo, step: int, outcome: str) -> None:
        """Close the log."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise PluginError(
            "the callback `tensorboard` needs TensorBoard: pip install 'ambientkit[tensorboard]'"
        ) from error
    return SummaryWriter
