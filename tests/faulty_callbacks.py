"""Callbacks that keep their contract, and some that break one promise each."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import torch

from ambientkit import hookimpl


class GoodCallback:
    """Writes what it is told into a file of its own."""

    @hookimpl
    def on_run_start(self, run):
        self.write(run, f"start at {run.first_step}")

    @hookimpl
    def on_step_end(self, run, report):
        self.write(run, f"{report.step} {report.terms()} {report.samples(2).made.mean()}")

    @hookimpl
    def on_evaluation(self, run, step, figures):
        self.write(run, f"{step} {dict(figures)}")

    @hookimpl
    def on_checkpoint(self, run, step, folder):
        self.write(run, f"{step} {folder}")

    @hookimpl
    def on_run_end(self, run, step, outcome):
        self.write(run, f"{step} {outcome}")

    def write(self, run, line):
        with (run.folder / "diary.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class NoHooks:
    def on_step_end(self, run, report):
        return None


class Misspelt:
    @hookimpl
    def on_step_ends(self, run, report):
        return None


class FallsOver(GoodCallback):
    @hookimpl
    def on_checkpoint(self, run, step, folder):
        (folder / "weights.pth").read_bytes()


class FallsOverNowAndThen(GoodCallback):
    def __init__(self, every=500):
        self.every = every

    @hookimpl
    def on_step_end(self, run, report):
        if report.step % self.every == 0:
            raise ValueError("as late as this")


class MissesTheStart(GoodCallback):
    @hookimpl
    def on_run_start(self, run):
        self.started = True

    @hookimpl
    def on_run_end(self, run, step, outcome):
        assert self.started, "AttributeError where it never started"


class MakesItsFolderAnew(GoodCallback):
    @hookimpl
    def on_run_start(self, run):
        (run.folder / "curves").mkdir()


class Rounds(GoodCallback):
    @hookimpl
    def on_evaluation(self, run, step, figures):
        self.write(run, str([round(value) for value in figures.values()]))


class NeedsPictures(GoodCallback):
    @hookimpl
    def on_step_end(self, run, report):
        _, channels, _, _ = report.samples(4).y.shape
        self.write(run, str(channels))


class ChangesTheRecipe(GoodCallback):
    @hookimpl
    def on_run_start(self, run):
        run.resolved["train"].pop("steps", None)


class ChangesFigures(GoodCallback):
    @hookimpl
    def on_evaluation(self, run, step, figures):
        figures.clear()


class ChangesPictures(GoodCallback):
    @hookimpl
    def on_step_end(self, run, report):
        report.samples(2).made.add_(1).div_(2)


class Shuffles(GoodCallback):
    @hookimpl
    def on_step_end(self, run, report):
        random.shuffle([1, 2, 3])


class StopsGradients(GoodCallback):
    @hookimpl
    def on_run_start(self, run):
        torch.set_grad_enabled(False)


class WritesAnywhere(GoodCallback):
    def write(self, run, line):
        Path("diary.txt").write_text(line, encoding="utf-8")


class WritesBesideTheRun(GoodCallback):
    def write(self, run, line):
        (run.folder.parent / "all.txt").write_text(line, encoding="utf-8")


class RewritesTheRun(GoodCallback):
    @hookimpl
    def on_run_end(self, run, step, outcome):
        (run.folder / "run.json").write_text('{"outcome": "splendid"}', encoding="utf-8")


class ReachesForWeights(GoodCallback):
    @hookimpl
    def on_step_end(self, run, report):
        report._trainer.game.generator.network.weight.data.zero_()


class SearchesForWeights(GoodCallback):
    @hookimpl
    def on_run_end(self, run, step, outcome):
        for each in gc.get_objects():
            if type(each) is torch.nn.Linear and each.weight.shape == (1, 2):
                each.weight.data.zero_()


class AddsToCheckpoints(GoodCallback):
    @hookimpl
    def on_checkpoint(self, run, step, folder):
        (folder / "note.txt").write_text("mine", encoding="utf-8")


FAULTY_CALLBACKS = {
    NoHooks: "it_has_lifecycle_hooks",
    Misspelt: "it_has_lifecycle_hooks",
    FallsOver: "it_survives_a_run",
    FallsOverNowAndThen: "it_survives_a_run",
    MissesTheStart: "it_survives_a_run_that_stops_early",
    MakesItsFolderAnew: "it_survives_a_resumed_run",
    Rounds: "it_survives_figures_that_are_not_finite",
    NeedsPictures: "it_survives_measurements_that_are_no_pictures",
    ChangesTheRecipe: "what_it_is_told_is_not_changed",
    ChangesFigures: "what_it_is_told_is_not_changed",
    ChangesPictures: "what_it_is_told_is_not_changed",
    ReachesForWeights: "weights_are_left_alone",
    SearchesForWeights: "weights_are_left_alone",
    Shuffles: "global_random_states_are_left_alone",
    StopsGradients: "torchs_settings_are_left_alone",
    WritesAnywhere: "it_writes_only_into_the_runs_folder",
    WritesBesideTheRun: "it_writes_only_into_the_runs_folder",
    RewritesTheRun: "the_runs_own_files_are_left_alone",
    AddsToCheckpoints: "the_runs_own_files_are_left_alone",
}
