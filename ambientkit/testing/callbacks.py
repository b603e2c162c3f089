"""The contract of observers of a run: `check_callback`.

Callbacks are told of a small run that nobody trains: a start, three steps, figures, a checkpoint, an end.
They are handed no network; one lies where the engine's own reports keep theirs, to see whether it is let be.
"""

from __future__ import annotations

import copy
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import torch
from torch import Tensor, nn

from ambientkit.errors import FAILURES, PluginError
from ambientkit.interfaces import Evaluated, RunInfo, Shape
from ambientkit.plugins import lifecycle
from ambientkit.testing.contract import Checks, Finding, Waits, Waivers, require
from ambientkit.testing.measurement_case import fixed_global_states, same
from ambientkit.testing.networks import some_observed, uniform
from ambientkit.testing.watching import advised, named_tensors, require_random_states_kept

MOMENTS = (1, 2, 5_040_000)
"""The steps that are told: the last one is a multiple of whatever `every` a callback is likely to have."""
STEPS = MOMENTS[-1]
SHAPE = (3, 16, 16)
FIGURES = {"psnr": 21.5}
RECIPE = {"recipe": 1, "name": "a run", "train": {"steps": STEPS, "batch_size": 4}, "seed": 0}


@dataclass
class _Report:
    """A step, as callbacks are told of it."""

    step: int
    network: nn.Module
    y_shape: Shape = SHAPE
    told: list[dict[str, float]] = field(default_factory=list)
    shown: list[tuple[Evaluated, dict[str, Tensor]]] = field(default_factory=list)

    @property
    def _trainer(self) -> Any:
        """Private in the engine's reports; a callback that reaches for it finds the network."""
        return SimpleNamespace(game=SimpleNamespace(generator=SimpleNamespace(network=self.network)))

    def terms(self) -> dict[str, float]:
        """Terms of both players."""
        self.told.append({"discriminator/real": 0.7, "generator/adversarial": 1.5})
        return self.told[-1]

    def samples(self, count: int) -> Evaluated:
        """At most four pictures: there may be fewer than are asked for."""
        n = min(count, 4)
        truth, made = uniform(n, SHAPE, "truth"), uniform(n, SHAPE, "made")
        observed = some_observed(n, *SHAPE[1:]) if self.y_shape == SHAPE else None
        y = uniform(n, self.y_shape, "y") if observed is None else torch.where(observed, truth, 0.0)
        completed = made if observed is None else torch.where(observed, truth, made)
        samples = Evaluated(y, observed, made, completed, truth)
        self.shown.append((samples, {name: part.clone() for name, part in named_tensors(samples).items()}))
        return samples


@dataclass
class _Play:
    """A run that callbacks are told of. `begin` is the step that it goes on from."""

    hooks: pluggy.PluginManager
    info: RunInfo
    y_shape: Shape = SHAPE
    figures: dict[str, float] = field(default_factory=lambda: dict(FIGURES))
    reports: list[_Report] = field(default_factory=list)
    network: nn.Module = field(default_factory=lambda: nn.Linear(2, 1))

    def all(self, stop: int = STEPS, outcome: str = "finished") -> None:
        """From the start to the end."""
        self.start()
        for step in (each for each in MOMENTS if self.info.first_step < each <= stop):
            self.step(step)
        self.end(stop, outcome)

    def start(self) -> None:
        """The run starts, with the untrained network's figures where it is a new one."""
        self.hooks.hook.on_run_start(run=self.info)
        if self.info.first_step == 0:
            self.hooks.hook.on_evaluation(run=self.info, step=0, figures=self.figures)

    def step(self, step: int) -> None:
        """A step, then figures, then a checkpoint."""
        report = _Report(step, self.network, self.y_shape)
        self.reports.append(report)
        self.hooks.hook.on_step_end(run=self.info, report=report)
        self.hooks.hook.on_evaluation(run=self.info, step=step, figures=self.figures)
        folder = self.info.folder / "checkpoints" / f"step-{step:07d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "meta.json").write_text("{}", encoding="utf-8")
        self.hooks.hook.on_checkpoint(run=self.info, step=step, folder=folder)

    def end(self, step: int, outcome: str) -> None:
        """The run ends."""
        self.hooks.hook.on_run_end(run=self.info, step=step, outcome=outcome)


@dataclass
class CallbackCase:
    """A callback under test; every check is told of a run of its own."""

    callback: Any

    @contextmanager
    def play(self, first_step: int = 0, folder: Path | None = None, **changes: Any) -> Iterator[_Play]:
        """As `play_once`; leaves the check where an ordinary run does not even work."""
        if self._fault:
            raise Waits(f"an ordinary run has to work first: {self._fault}")
        with self.play_once(first_step, folder, **changes) as play:
            yield play

    @cached_property
    def _fault(self) -> str:
        try:
            with self.play_once() as play:
                play.all()
        except FAILURES as error:  # a callback may raise anything
            return f"{type(error).__name__}: {error}"
        return ""

    @contextmanager
    def play_once(self, first_step: int = 0, folder: Path | None = None, **changes: Any) -> Iterator[_Play]:
        """A run with a copy of the callback, in a temporary folder that is also the working directory.

        What it prints is not shown. Leaves the check where the callback has no proper hooks.
        """
        with (
            tempfile.TemporaryDirectory() as place,
            fixed_global_states(),
            _working_in(Path(place)),
            _settings_kept(),
        ):
            run = folder or make_run_folder(Path(place))
            info = RunInfo("a run", run, copy.deepcopy(RECIPE), STEPS, 4, first_step, ("a label",))
            with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
                yield _Play(self._hooks(), info, **changes)

    def _hooks(self) -> pluggy.PluginManager:
        try:
            callback = copy.deepcopy(self.callback)
        except Exception:  # one that holds a connection, say
            callback = self.callback
        try:
            return lifecycle([callback])
        except PluginError as error:
            raise Waits(f"hooks have to be right first: {error}") from error


def make_run_folder(place: Path) -> Path:
    """`runs/a run/0001` below `place`, with the files that the engine keeps there."""
    run = place / "runs" / "a run" / "0001"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("recipe.yaml", "resolved.yaml", "run.json"):
        (run / name).write_text("{}\n", encoding="utf-8")
    return run


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


CALLBACK_CHECKS: Checks[CallbackCase] = Checks()


def check_callback(callback: Any, *, name: str | None = None, waived: Waivers | None = None) -> list[Finding]:
    """Hold an observer of runs to its contract. It is copied where that can be done.

    The working directory is a temporary folder meanwhile, and what the callback prints is not shown.
    `name` stands in the message (default: the class's); `waived` maps a check's name to why its failure
    is accepted. Returns what every check found. Raises ContractError with all that fail.
    """
    return CALLBACK_CHECKS.require(name or type(callback).__name__, CallbackCase(callback), waived)


@CALLBACK_CHECKS.add
def it_has_lifecycle_hooks(case: CallbackCase) -> None:
    """One or more, marked with @hookimpl, each spelt right and with known arguments."""
    try:
        lifecycle([case.callback])
    except PluginError as error:
        require(
            False, str(error), "hooks are on_run_start, on_step_end, on_evaluation, on_checkpoint, on_run_end"
        )


@CALLBACK_CHECKS.add
def it_survives_a_run(case: CallbackCase) -> None:
    """A run that finishes."""
    with case.play_once() as play, advised("a callback that fails ends the run"):
        play.all()


@CALLBACK_CHECKS.add
def it_survives_a_run_that_stops_early(case: CallbackCase) -> None:
    """One that is interrupted, one that fails before its first step, one that never started."""
    early = "on_run_end may come without a step, and without on_run_start, where another callback failed"
    with case.play() as play, advised(early):
        play.all(stop=1, outcome="interrupted")
    with case.play() as play, advised(early):
        play.all(stop=0, outcome="failed")
    with case.play() as play, advised(early):
        play.end(0, "failed")


@CALLBACK_CHECKS.add
def it_survives_a_resumed_run(case: CallbackCase) -> None:
    """A run that goes on in the folder of an interrupted one, with a new callback."""
    with case.play() as play:
        play.all(stop=2, outcome="interrupted")
        remedy = "files of the first attempt are there already: append to them, mkdir(exist_ok=True)"
        with case.play(first_step=2, folder=play.info.folder) as resumed, advised(remedy):
            resumed.all()


@CALLBACK_CHECKS.add
def it_survives_figures_that_are_not_finite(case: CallbackCase) -> None:
    """A perfect picture may have an infinite PSNR, and a figure may be NaN."""
    odd = {"psnr": float("inf"), "seam": float("nan"), "loss": float("-inf")}
    with case.play(figures=odd) as play, advised("ask math.isfinite first, and write null where it is not"):
        play.all()


@CALLBACK_CHECKS.add
def it_survives_measurements_that_are_no_pictures(case: CallbackCase) -> None:
    """`samples().y` may be a vector, without `observed`."""
    remedy = "look at y's shape first, or show `made` and `completed` alone"
    with case.play(y_shape=(10,)) as play, advised(remedy):
        play.all()


@CALLBACK_CHECKS.add
def what_it_is_told_is_not_changed(case: CallbackCase) -> None:
    """Others are told the same: the recipe, the terms, the figures and the pictures."""
    with case.play() as play:
        play.all()
    require(play.info.resolved == RECIPE, "it changed `run.resolved`", "change a copy: copy.deepcopy(...)")
    require(
        play.figures == FIGURES, f"it changed `figures` to {play.figures}", "change a copy: dict(figures)"
    )
    for report in play.reports:
        for samples, before in report.shown:
            changed = [name for name, part in named_tensors(samples).items() if not same(part, before[name])]
            require(not changed, f"it wrote into {changed} of `report.samples`", "change a copy: .clone()")


@CALLBACK_CHECKS.add
def weights_are_left_alone(case: CallbackCase) -> None:
    """A run's networks are the same, whoever looks."""
    with case.play() as play:
        before = copy.deepcopy(play.network.state_dict())
        play.all()
        changed = [name for name, value in play.network.state_dict().items() if not same(value, before[name])]
    require(
        not changed,
        f"it changed the weights of a network ({', '.join(changed)})",
        "observe only: what is meant to train is an objective or a fidelity",
    )


@CALLBACK_CHECKS.add
def global_random_states_are_left_alone(case: CallbackCase) -> None:
    """What a run draws does not depend on who looks."""
    with case.play() as play:
        require_random_states_kept(play.all, "draw from a generator of your own")


@CALLBACK_CHECKS.add
def torchs_settings_are_left_alone(case: CallbackCase) -> None:
    """Gradients, threads, default dtype and deterministic algorithms are the run's business."""
    with case.play() as play:
        before = _settings()
        play.all()
        changed = [name for name, (value, _) in _settings().items() if value != before[name][0]]
    require(
        not changed, f"it changed torch's {' and '.join(changed)}", "put it back, as with torch.no_grad()"
    )


@contextmanager
def _settings_kept() -> Iterator[None]:
    before = _settings()
    try:
        yield
    finally:
        for value, restore in before.values():
            restore(value)


def _settings() -> dict[str, tuple[Any, Callable[[Any], object]]]:
    return {
        "gradient mode": (torch.is_grad_enabled(), torch.set_grad_enabled),
        "number of threads": (torch.get_num_threads(), torch.set_num_threads),
        "default dtype": (torch.get_default_dtype(), torch.set_default_dtype),
        "deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.use_deterministic_algorithms,
        ),
    }


@CALLBACK_CHECKS.add
def it_writes_only_into_the_runs_folder(case: CallbackCase) -> None:
    """Nothing appears in the working directory or beside the run's folder."""
    with case.play() as play:
        place = Path.cwd()
        before = _files(place, play.info.folder)
        play.all()
        after = _files(place, play.info.folder)
    strange = sorted(name for name in after if after[name] != before.get(name))
    require(
        not strange,
        f"it wrote {', '.join(strange)}, which is outside the run's folder",
        "write below `run.folder`, an absolute path",
    )


@CALLBACK_CHECKS.add
def the_runs_own_files_are_left_alone(case: CallbackCase) -> None:
    """The recipe, `run.json` and checkpoints stay as the engine wrote them."""
    with case.play() as play:
        play.all()
        files = _files(play.info.folder, None)
    own = ["recipe.yaml", "resolved.yaml", "run.json"]
    own += [str(Path("checkpoints", f"step-{step:07d}", "meta.json")) for step in MOMENTS]
    changed = [name for name in own if files.get(name, b"").strip() != b"{}"]
    more = [name for name in files if name.startswith("checkpoints") and name not in own]
    require(
        not changed and not more,
        f"it changed {', '.join([*changed, *more])} of the run",
        "write files of your own: nothing below checkpoints/, no run.json, no recipe",
    )


def _files(place: Path, but: Path | None) -> dict[str, bytes]:
    """Content of every file below `place` by its relative path, those below `but` left out."""
    found = (path for path in place.rglob("*") if path.is_file())
    kept = (path for path in found if but is None or not path.is_relative_to(but))
    return {str(path.relative_to(place)): path.read_bytes() for path in kept}
