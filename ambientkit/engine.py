"""The engine as an API: load, check, run, resume and use runs, with no printing."""

from __future__ import annotations

import logging
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ambientkit import recipe_file, run_folder
from ambientkit.errors import (
    AmbientkitError,
    InputError,
    Interrupted,
    Problem,
    RecipeError,
    RunFolderError,
)
from ambientkit.interfaces import Context
from ambientkit.mishaps import explained, told
from ambientkit.plugins import Plugins, lifecycle
from ambientkit.recipe import Plan
from ambientkit.recipe_check import choose as choose_component

if TYPE_CHECKING:
    from ambientkit.completion import TrainedRun
    from ambientkit.data import Progress
    from ambientkit.evaluating.evaluate import Evaluation
    from ambientkit.evaluating.held_out import Held
    from ambientkit.evaluating.wishes import Wishes
    from ambientkit.inspecting.inspection import Inspection
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


class Engine:
    """Load, check, run, resume and open runs with the plugins that are installed or given.

    `plugins` are modules or objects with registration hooks, `files` single-file plugins (their
    code is executed); `discover=False` leaves out everything installed but the built-ins.
    """

    def __init__(
        self,
        plugins: Iterable[object] = (),
        *,
        files: Iterable[Path | str] = (),
        discover: bool = True,
        cache_dir: Path | str | None = None,
    ) -> None:
        self.plugins = Plugins.discover(plugins, files, discover=discover)
        self._cache_dir = cache_dir

    # Recipes -------------------------------------------------------------------------------------

    def load(self, recipe: str | Path | Mapping[str, Any] | Plan, *overrides: str) -> Plan:
        """The plan of a recipe: a path, the name of a shipped one, or a mapping.

        Raises RecipeError with every problem at once.
        """
        if isinstance(recipe, Plan):
            return (
                recipe_file.from_mapping(recipe.resolved(), self.plugins, overrides=overrides)
                if overrides
                else recipe
            )
        if isinstance(recipe, Mapping):
            return recipe_file.from_mapping(recipe, self.plugins, overrides=overrides)
        return recipe_file.load(recipe, overrides, self.plugins)

    def validate(self, recipe: str | Path | Mapping[str, Any], *overrides: str) -> list[Problem]:
        """All problems of a recipe, warnings among them; none means it can be run."""
        try:
            return list(self.load(recipe, *overrides).warnings)
        except RecipeError as error:
            return error.problems

    def build(self, category: str, kind: str, /, *, context: Context | None = None, **options: Any) -> Any:
        """Build one component, such as `build("measurement", "block_patch", size=28)`.

        Raises PluginError for an unknown component and RecipeError for options that do not fit.
        """
        registered = self.plugins.require(category, kind)
        return choose_component(registered, options, self.plugins).build(context or Context())

    def inspect(
        self,
        recipe: str | Path | Mapping[str, Any] | Plan,
        *overrides: str,
        draws: int = 4096,
        samples: int = 8,
        progress: Progress | None = None,
    ) -> Inspection:
        """What the sensor does to the data, and whether that determines the law of the pictures.

        `draws` of theta (at least 1) are looked at, and `samples` measurements (at least 1) kept to show.
        Nothing is trained and nothing is written. Raises RecipeError, InputError, PluginError or DataError.
        """
        from ambientkit.data import no_progress
        from ambientkit.inspecting.inspection import inspect

        return inspect(self.load(recipe, *overrides), draws, samples, progress or no_progress)

    # Runs ----------------------------------------------------------------------------------------

    def run(
        self,
        recipe: str | Path | Mapping[str, Any] | Plan,
        *overrides: str,
        out: Path | str = "runs",
        device: str = "auto",
        precision: str = "auto",
        callbacks: Sequence[object] = (),
        progress: Progress | None = None,
    ) -> RunResult:
        """Train a recipe in a new run folder below `out`.

        Raises InputError when it cannot begin, RunError when it fails, Interrupted on a signal.
        """
        from ambientkit.machine import choose

        plan = self.load(recipe, *overrides)
        machine = choose(device, precision)
        with told():
            trainer = self._trainer(plan, machine, None, callbacks, progress, Path(out))
        with told(trainer.folder), run_folder.occupied(trainer.folder):
            return self._finish(trainer, machine)

    def resume(
        self,
        folder: Path | str,
        *,
        checkpoint: str = "latest",
        device: str = "auto",
        precision: str = "auto",
        callbacks: Sequence[object] = (),
        progress: Progress | None = None,
    ) -> RunResult:
        """Go on with a run from its last checkpoint, to the same bits as if it had never stopped.

        A run that never came to its first checkpoint begins with step 0. Raises RunFolderError when recipe,
        plugins or weights differ from what the run was made with, or when another process runs there.
        """
        from ambientkit import checkpoints
        from ambientkit.machine import choose
        from ambientkit.resumption import require_same_plugins

        run, record = Path(folder), run_folder.read_run(Path(folder))
        plan = self.load(run / "resolved.yaml")
        require_same_plugins(record, self._provenance(plan))
        machine = choose(device, record["precision"] if precision == "auto" else precision)
        with told(run), run_folder.occupied(run):
            checkpoints.tidy(run)
            path = _begin_at(run, checkpoint, plan)
            trainer = self._trainer(plan, machine, run, callbacks, progress, run, warm=path is None)
            if path:
                trainer.restore(path)
            return self._finish(trainer, machine)

    def open(self, folder: Path | str, *, checkpoint: str = "latest", device: str = "auto") -> TrainedRun:
        """A trained run, ready to complete or generate pictures."""
        from ambientkit.completion import open_run
        from ambientkit.machine import choose

        record = run_folder.read_run(Path(folder))
        plan = self.load(Path(folder) / "resolved.yaml")
        return open_run(Path(folder), plan, record, checkpoint, choose(device, record["precision"]))

    def evaluate(
        self,
        folder: Path | str,
        *overrides: str,
        against: Sequence[Path | str] = (),
        metrics: Sequence[str] | None = None,
        wishes: Wishes | None = None,
        checkpoint: str = "latest",
        device: str = "auto",
        progress: Progress | None = None,
    ) -> Evaluation:
        """The figures of a run's held-out pictures with 95 % intervals, beside other runs and baselines.

        `overrides` say where the data lie now (`data.source.root=...`); they must be the run's own.
        Nothing is written. Raises RunFolderError or InputError where runs or data do not fit.
        """
        from ambientkit.data import no_progress
        from ambientkit.evaluating.choice import choose_metrics
        from ambientkit.evaluating.evaluate import evaluate
        from ambientkit.evaluating.held_out import require_same_pictures
        from ambientkit.evaluating.wishes import Wishes

        runs = [self._held_out(Path(each), overrides, checkpoint, device) for each in (folder, *against)]
        for other in runs[1:]:
            require_same_pictures(runs[0], other)
        chosen = choose_metrics(runs[0].plan, self.plugins, metrics, runs[0].context)
        return evaluate(runs, chosen, wishes or Wishes(), progress or no_progress)

    def _held_out(self, folder: Path, overrides: Sequence[str], checkpoint: str, device: str) -> Held:
        from ambientkit import checkpoints
        from ambientkit.completion import open_run
        from ambientkit.evaluating.held_out import open_held_out
        from ambientkit.machine import choose

        for override in overrides:
            if not override.startswith(("data.source.", "discriminator_data.source.")):
                raise InputError(f"{override}: an evaluation changes nothing but data.source.KEY=VALUE")
        record = run_folder.read_run(folder)
        plan = self.load(folder / "resolved.yaml", *overrides)
        step = int(checkpoints.read_meta(checkpoints.find(folder, checkpoint))["step"])
        trained = open_run(folder, plan, record, checkpoint, choose(device, record["precision"]))
        return open_held_out(trained, plan, record, step)

    # How it is done ------------------------------------------------------------------------------

    def _trainer(
        self,
        plan: Plan,
        machine: Machine,
        folder: Path | None,
        callbacks: Sequence[object],
        progress: Progress | None,
        out: Path,
        *,
        warm: bool = True,
    ) -> Trainer:
        from ambientkit.assembly import cache_folder
        from ambientkit.preparation import prepare
        from ambientkit.resumption import require_same_data
        from ambientkit.watch import Watch

        cache = Path(self._cache_dir) if self._cache_dir else cache_folder()
        prepared = prepare(plan, machine, cache, progress)
        new = folder is None
        if folder is None:
            fill = partial(self._begin, plan, self._record(plan, machine, prepared.facts))
            folder = run_folder.create(out, plan.recipe.name, plan.recipe.seed, fill)
        else:
            require_same_data(run_folder.read_run(folder), prepared.facts)
        try:
            return prepared.trainer(folder, lambda built: lifecycle([*callbacks, Watch(), *built]), warm=warm)
        except BaseException:
            if new:  # nothing was run, so nothing is left that looks like a run
                shutil.rmtree(folder)
            raise

    @staticmethod
    def _begin(plan: Plan, record: Mapping[str, Any], folder: Path) -> None:
        run_folder.write_recipe(folder, plan.text, plan.resolved())
        run_folder.write_json(folder / "run.json", record)

    def _record(self, plan: Plan, machine: Machine, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "format": run_folder.FORMAT,
            "name": plan.recipe.name,
            "status": "running",
            "step": 0,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": str(machine.device),
            "precision": "bf16" if machine.bf16 else "fp32",
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("ambientkit", "torch", "torchvision", "numpy")},
            },
            "plugins": self._provenance(plan),
            **facts,
        }

    def _provenance(self, plan: Plan) -> list[dict[str, str]]:
        return self.plugins.used(choice.registered for choice in plan.choices())

    def _finish(self, trainer: Trainer, machine: Machine) -> RunResult:
        begun = time.monotonic()
        folder = trainer.folder
        with _logged(folder), _status(trainer):
            log.info(
                "%s on %s, from step %d of %d",
                trainer.info.name,
                machine,
                trainer.step,
                trainer.info.total_steps,
            )
            trainer.train()
            rows = trainer.yardsticks()
        seconds = time.monotonic() - begun
        run_folder.update_run(
            folder,
            status="finished",
            step=trainer.step,
            seconds=round(seconds, 1),
            figures={"final": trainer.figures, **rows},
        )
        return RunResult(folder, trainer.step, seconds, trainer.figures, rows, trainer.info.labels)


def _begin_at(run: Path, name: str, plan: Plan) -> Path | None:
    """The checkpoint to go on from; None where the run never came to one, and begins with step 0."""
    from ambientkit import checkpoints
    from ambientkit.resumption import require_same_recipe

    if name == "latest" and not checkpoints.begun(run):
        log.info("%s has no checkpoint yet: it begins with step 0", run)
        return None
    path = checkpoints.find(run, name)
    require_same_recipe(checkpoints.read_meta(path), plan)
    return path


@contextmanager
def _status(trainer: Trainer) -> Iterator[None]:
    """Write into run.json how a run that did not finish ended."""
    run_folder.update_run(trainer.folder, status="running", error=None)
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
        plain = explained(error, trainer.folder) or error
        log.error("%s: %s", status, plain if isinstance(plain, AmbientkitError) else repr(plain))
        try:
            run_folder.update_run(trainer.folder, status=status, step=trainer.step, error=str(plain))
        except (OSError, RunFolderError):
            log.error("run.json could not be updated")
        raise


class _RunLog(logging.FileHandler):
    """A log that ends no run: a disk that is full is told of by what must be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing; the default prints a traceback."""


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Send the engine's log to the run's log.txt while it runs."""
    handler = _RunLog(folder / "log.txt", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        with suppress(OSError):
            handler.close()
