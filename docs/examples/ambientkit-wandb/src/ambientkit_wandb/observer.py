"""The observer: what a run tells, handed on to Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ambientkit import hookimpl
from ambientkit.errors import PluginError
from ambientkit.interfaces import RunInfo, StepReport

from . import WandbLogOptions
from .pictures import sheet


class WandbLog:
    """Opens one wandb run for a run folder, and the same one again when that is resumed.

    Raises PluginError where wandb is not installed.
    """

    def __init__(self, options: WandbLogOptions) -> None:
        self.options = options
        self._wandb = _imported()
        self._run: Any = None

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Open it, with the whole recipe as its configuration."""
        self._run = self._wandb.init(
            project=self.options.project,
            entity=self.options.entity,
            mode=self.options.mode,
            name=f"{run.name}/{run.folder.name}",
            config=dict(run.resolved),
            tags=list(run.labels),
            dir=str(run.folder),
            id=self._identity(run),
            resume="allow",
        )

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """Terms and pictures, where they are due, and at the first and last step."""
        values: dict[str, Any] = {}
        if _due(report.step, self.options.every, run):
            values |= report.terms()
        if self.options.pictures and _due(report.step, self.options.pictures_every, run):
            pixels = sheet(report.samples(self.options.pictures))
            values["samples"] = self._wandb.Image(pixels, caption=f"step {report.step}")
        if values:
            self._run.log(values, step=report.step)

    @hookimpl
    def on_evaluation(self, run: RunInfo, step: int, figures: Mapping[str, float]) -> None:
        """The figures."""
        self._run.log(dict(figures), step=step)

    @hookimpl
    def on_run_end(self, run: RunInfo, step: int, outcome: str) -> None:
        """Close it; what did not finish is marked as failed."""
        if self._run is not None:
            self._run.finish(exit_code=0 if outcome == "finished" else 1)
            self._run = None

    def _identity(self, run: RunInfo) -> str:
        """wandb's name for this run folder, kept in it so that a resumed run goes on with the same curves."""
        file = run.folder / "wandb-id.txt"
        if not file.exists():
            file.write_text(self._wandb.util.generate_id(), encoding="utf-8")
        return file.read_text("utf-8").strip()


def _due(step: int, every: int, run: RunInfo) -> bool:
    return step % every == 0 or step in {1, run.total_steps}


def _imported() -> ModuleType:
    try:
        import wandb
    except ImportError as error:
        raise PluginError("the callback `wandb/log` needs Weights & Biases: pip install wandb") from error
    module: ModuleType = wandb
    return module
