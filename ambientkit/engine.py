"""The engine as an API: load, check, run, resume and use runs, with no printing."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ambientkit import recipe_file, run_folder
from ambientkit.asked import alone_in_process, as_list, folder_of, metric_names
from ambientkit.containment import contained
from ambientkit.errors import InputError, PluginError, Problem, RecipeError
from ambientkit.interfaces import Context
from ambientkit.mishaps import told
from ambientkit.plugins import Discovery, Plugins, lifecycle
from ambientkit.recipe import Plan
from ambientkit.recipe_check import choose as choose_component
from ambientkit.resumption import changed_plugins, listed_plugins, require_loaded, require_same_code
from ambientkit.running import RunResult, as_before, finish, new_folder
from ambientkit.surroundings import begin_at, fitting, met, occupied

if TYPE_CHECKING:
    import torch

    from ambientkit.benching import Speed
    from ambientkit.completion import TrainedRun
    from ambientkit.data import Progress
    from ambientkit.evaluating.evaluate import Evaluation
    from ambientkit.evaluating.held_out import Held
    from ambientkit.evaluating.wishes import Wishes
    from ambientkit.exporting import Exported
    from ambientkit.group import Group
    from ambientkit.inspecting.inspection import Inspection
    from ambientkit.machine import Machine
    from ambientkit.trainer import Trainer

log = logging.getLogger("ambientkit")


class Engine:
    """Load, check, run, resume and open runs with the plugins that are installed or given.

    `plugins` are modules or objects with registration hooks, `files` single-file plugins (their
    code is executed); `discover=False` leaves out everything installed but the built-ins, and "listed"
    loads of it what a run folder lists when that is opened, after naming it in the log.
    """

    def __init__(
        self,
        plugins: Iterable[object] = (),
        *,
        files: Iterable[Path | str] = (),
        discover: Discovery = True,
        cache_dir: Path | str | None = None,
    ) -> None:
        chosen = as_list("plugins", plugins, "modules or objects")
        places = [Path(str(file)) for file in as_list("files", files, "places")]
        self.plugins = Plugins.discover(chosen, places, discover=discover)
        self._cache_dir = cache_dir

    # Recipes -------------------------------------------------------------------------------------

    def load(self, recipe: str | Path | Mapping[str, Any] | Plan, *overrides: str) -> Plan:
        """The plan of a recipe: a path, the name of a shipped one, or a mapping.

        Raises RecipeError with every problem at once, InputError for an override that is no text.
        """
        for override in overrides:
            if not isinstance(override, str):
                raise InputError(f"an override is a text such as 'train.steps=100', not {override!r}")
        if isinstance(recipe, Plan):
            return (
                recipe_file.from_mapping(recipe.resolved(), self.plugins, overrides=overrides)
                if overrides
                else recipe
            )
        if isinstance(recipe, Mapping):
            return recipe_file.from_mapping(recipe, self.plugins, overrides=overrides)
        if not isinstance(recipe, str | PathLike):
            raise InputError(
                f"a recipe is a path, a name, a mapping or a Plan, not a {type(recipe).__name__}"
            )
        return recipe_file.load(recipe, overrides, self.plugins)

    def load_run(self, folder: str | Path, *overrides: str) -> Plan:
        """The plan of a run folder. Raises RunFolderError where a plugin that it lists is not there."""
        return self._opened(folder_of(folder), *overrides)[0]

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

        plan = self.load(recipe, *overrides)
        with contained(self.plugins.registry, PluginError):
            return inspect(plan, draws, samples, progress or no_progress)

    # Runs ----------------------------------------------------------------------------------------

    @alone_in_process()
    def run(
        self,
        recipe: str | Path | Mapping[str, Any] | Plan,
        *overrides: str,
        out: Path | str = "runs",
        device: str | torch.device = "auto",
        precision: str = "auto",
        compile: str = "auto",
        callbacks: Sequence[object] = (),
        progress: Progress | None = None,
    ) -> RunResult:
        """Train a recipe in a new run folder below `out`.

        Raises InputError when it cannot begin, RunError when it fails, Interrupted on a signal.
        """
        plan = self.load(recipe, *overrides)
        machine = met(device, precision, compile)
        with told():
            begun = self._begun(plan, Path(out), machine.group)
        if begun is not None:  # torchrun started all processes anew after one of them failed
            return self.resume(
                begun,
                device=device,
                precision=precision,
                compile=compile,
                callbacks=callbacks,
                progress=progress,
            )
        with told():
            trainer = self._trainer(plan, machine, None, callbacks, progress, Path(out))
        with told(trainer.folder), occupied(trainer.folder, machine):
            return finish(trainer, machine, self.plugins.registry)

    @alone_in_process()
    def resume(
        self,
        folder: Path | str,
        *,
        checkpoint: str | int = "latest",
        device: str | torch.device = "auto",
        precision: str = "auto",
        compile: str = "auto",
        callbacks: Sequence[object] = (),
        progress: Progress | None = None,
    ) -> RunResult:
        """Go on with a run from its last checkpoint, to the same bits as if it had never stopped.

        A run that never came to its first checkpoint begins with step 0. Raises RunFolderError when recipe,
        plugins or weights differ from what the run was made with, or when another process runs there.
        """
        from ambientkit import checkpoints
        from ambientkit.resumption import require_same_plugins

        run = folder_of(folder)
        plan, record = self._opened(run)
        require_same_plugins(record, self._provenance(plan))
        machine = met(device, *as_before(record, precision, compile))
        with told(run), occupied(run, machine):
            if machine.group.leads:  # the only one that holds the folder
                checkpoints.tidy(run)
            machine.group.told(None)
            path = begin_at(run, checkpoint, plan, lambda recipe: self.load(recipe).resolved())
            trainer = self._trainer(plan, machine, run, callbacks, progress, run, warm=path is None)
            if path is not None:
                with fitting(path):
                    trainer.restore(path)
                machine.group.told(None)  # the first one may write it anew at once
            return finish(trainer, machine, self.plugins.registry)

    def open(
        self, folder: Path | str, *, checkpoint: str | int = "latest", device: str | torch.device = "auto"
    ) -> TrainedRun:
        """A trained run, ready to complete or generate pictures."""
        from ambientkit.completion import open_run
        from ambientkit.machine import choose

        folder = folder_of(folder)
        plan, record = self._opened(folder)
        changed = changed_plugins(record, self._provenance(plan))
        if changed:
            log.warning("%s: %s; what it makes may differ", folder, "; ".join(changed))
        machine = choose(device, record["precision"])
        with contained(self.plugins.registry, PluginError):
            return open_run(folder, plan, record, checkpoint, machine)

    def evaluate(
        self,
        folder: Path | str,
        *overrides: str,
        against: Sequence[Path | str] = (),
        metrics: Sequence[str] | None = None,
        wishes: Wishes | None = None,
        checkpoint: str | int = "latest",
        device: str | torch.device = "auto",
        progress: Progress | None = None,
    ) -> Evaluation:
        """The figures of a run's held-out pictures with 95 % intervals, beside other runs and baselines.

        `overrides` say where the data lie now (`data.source.root=...`); they must be the run's own.
        Nothing is written. Raises RunFolderError or InputError where runs or data do not fit, or where a
        run is given twice.
        """
        from ambientkit.data import no_progress
        from ambientkit.evaluating.choice import choose_metrics
        from ambientkit.evaluating.evaluate import evaluate
        from ambientkit.evaluating.held_out import require_other_runs, require_same_pictures, told_apart
        from ambientkit.evaluating.wishes import Wishes

        metrics = metric_names(metrics)
        if not isinstance(wishes, Wishes | None):
            raise InputError(f"wishes is {wishes!r}; give Wishes(...) of ambientkit.evaluating.wishes")
        self.plugins.admit((name.partition("/")[0] for name in metrics or () if "/" in name), "--metrics")
        runs = [folder_of(each) for each in (folder, *as_list("against", against, "run folders"))]
        require_other_runs(runs)
        with contained(self.plugins.registry):
            held = told_apart([self._held_out(each, overrides, checkpoint, device) for each in runs])
            for other in held[1:]:
                require_same_pictures(held[0], other)
            chosen = choose_metrics(held[0].plan, self.plugins, metrics, held[0].context)
            return evaluate(held, chosen, wishes or Wishes(), progress or no_progress)

    def export(self, folder: Path | str, file: Path | str, *, checkpoint: str | int = "latest") -> Exported:
        """Write a run's generator to `file`, .pt2 (torch.export) or .onnx, as a program without ambientkit.

        Raises InputError for another ending, a file that is there or missing packages, RunError where it
        cannot be exported.
        """
        from ambientkit.exporting import export

        file = Path(file)
        if file.suffix not in (".pt2", ".onnx"):
            raise InputError(f"{file}: end the file's name in .pt2 (torch.export) or .onnx")
        if file.exists():
            raise InputError(f"{file}: exists already; give another name")
        trained = self.open(folder, checkpoint=checkpoint, device="cpu")
        return export(trained, file, onnx=file.suffix == ".onnx")

    @alone_in_process()
    def bench(
        self,
        recipe: str | Path | Mapping[str, Any] | Plan,
        *overrides: str,
        steps: int = 20,
        device: str | torch.device = "auto",
        precision: str = "auto",
        compile: str = "auto",
        progress: Progress | None = None,
    ) -> Speed:
        """How fast a recipe trains on this machine; nothing is kept but the measured data.

        Raises InputError, RecipeError, DataError or PluginError as `run` does.
        """
        from ambientkit.benching import bench
        from ambientkit.cached import cache_folder
        from ambientkit.machine import choose

        if steps < 1:
            raise InputError(f"cannot time {steps} steps; ask for 1 or more")
        cache = Path(self._cache_dir) if self._cache_dir else cache_folder()
        return bench(
            self.load(recipe, *overrides), choose(device, precision, compile), cache, steps, progress
        )

    def _held_out(
        self, folder: Path, overrides: Sequence[str], checkpoint: str | int, device: str | torch.device
    ) -> Held:
        from ambientkit import checkpoints
        from ambientkit.completion import open_run
        from ambientkit.evaluating.held_out import open_held_out
        from ambientkit.machine import choose

        for override in overrides:
            if not override.startswith(("data.source.", "discriminator_data.source.")):
                raise InputError(f"{override}: an evaluation changes nothing but data.source.KEY=VALUE")
        plan, record = self._opened(folder, *overrides)
        changed = require_same_code(folder, record, self._provenance(plan))
        record = {**record, "labels": [*record["labels"], *changed]}
        step = int(checkpoints.read_meta(checkpoints.find(folder, checkpoint))["step"])
        trained = open_run(folder, plan, record, checkpoint, choose(device, record["precision"]))
        return open_held_out(trained, plan, record, step)

    # How it is done ------------------------------------------------------------------------------

    def _begun(self, plan: Plan, out: Path, group: Group) -> Path | None:
        """The run of this very recipe that this job began, before torchrun started its processes anew.

        What the first process finds holds for all: on another machine the folder may not be seen yet.
        """
        if not group.restarted:
            return None
        runs = run_folder.of_job(out / plan.recipe.name, group.job) if group.leads else iter(())
        begun: Path | None = group.told(next((run for run in runs if self._is_of(run, plan)), None))
        return begun

    def _is_of(self, run: Path, plan: Plan) -> bool:
        try:
            return self.load(run / "resolved.yaml").resolved() == plan.resolved()
        except RecipeError:
            return False

    def _opened(self, run: Path, *overrides: str) -> tuple[Plan, dict[str, Any]]:
        """The plan of a run folder and its run.json, once the plugins that it lists are loaded."""
        record = run_folder.read_run(run)
        listed = listed_plugins(record, run)
        self.plugins.admit(listed, f"{run} was made with it")
        require_loaded(run, listed, {report.namespace for report in self.plugins.reports})
        return self.load(run / "resolved.yaml", *overrides), record

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
        from ambientkit.cached import cache_folder
        from ambientkit.preparation import prepare_together
        from ambientkit.resumption import require_same_data
        from ambientkit.watch import Watch

        cache = Path(self._cache_dir) if self._cache_dir else cache_folder()
        group, new = machine.group, folder is None
        with contained(self.plugins.registry, PluginError):
            prepared = prepare_together(plan, machine, cache, progress)
        if folder is not None:
            require_same_data(run_folder.read_run(folder), prepared.facts)
        folder = group.told(folder or new_folder(plan, machine, self._provenance(plan), prepared.facts, out))
        try:
            watched = [*as_list("callbacks", callbacks, "callbacks"), Watch()]
            with contained(self.plugins.registry, PluginError):
                return prepared.trainer(
                    folder, lambda built: lifecycle([*watched, *built] if group.leads else []), warm=warm
                )
        except BaseException:
            if new and group.leads:  # nothing was run, so nothing is left that looks like a run
                shutil.rmtree(folder)
            raise

    def _provenance(self, plan: Plan) -> list[dict[str, str]]:
        return self.plugins.used(choice.registered for choice in plan.choices())
