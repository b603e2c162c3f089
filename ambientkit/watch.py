"""A watch for games that are lost while every number stays finite: it warns, and changes nothing.

It looks at the terms every so many steps, and at a few completed pictures whenever figures are taken or a
checkpoint is kept. Only what lasts is told, once a run: in the log and in run.json, under `warnings`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from ambientkit.errors import RunFolderError
from ambientkit.hookspecs import hookimpl
from ambientkit.interfaces import Evaluated, RunInfo, StepReport
from ambientkit.run_folder import read_run, update_run

log = logging.getLogger("ambientkit")

LOOKS = 20  # at terms, in a row, before anything is said
SHARE = 100  # a look each hundredth of the run, so that LOOKS are a fifth of it
LEAST = 10  # steps between two looks
SOONEST = LEAST * LOOKS  # no warning before this step: a short run is not long enough to tell
PICTURE_LOOKS = 3  # at pictures, in a row
PICTURES = 16
TOLD_APART = 0.01  # of the terms of every built-in game that is bounded below, 0 being without a mistake
ALIKE = 1e-3  # relative; batches of any data differ by more, as long as scores depend on them
CONSTANT = 0.01  # of the spread that the data have at the same pixels
SPREAD = 0.02  # of values in [-1, 1]: where the data differ by less, all fills may be one

SCORED = ("discriminator/real", "discriminator/fake", "discriminator/pairs")

SAID = {
    "told apart": (
        "the discriminator has told every real from every fake for a fifth of the run, so the generator "
        "learns little from it; try a lower learning rate for it, fewer discriminator_updates, r1 in the "
        "objective, or spectral_norm"
    ),
    "scored alike": (
        "the discriminator has given everything the same score for a fifth of the run, so it teaches "
        "nothing; try another learning rate for it, weaker penalties or a wider clip, and see with "
        "`ambientkit inspect` whether the sensor leaves anything to be seen"
    ),
    "one fill": (
        "the generator makes the same of every picture or latent; try lower learning rates, r1 in the "
        "objective, or a fidelity such as held_out"
    ),
}


class Watch:
    """A callback of the engine's own."""

    def __init__(self) -> None:
        self.warnings: list[dict[str, Any]] = []
        self._terms: deque[dict[str, float]] = deque(maxlen=LOOKS)
        self._constant = 0  # looks in a row at which all fills were one
        self._report: StepReport | None = None
        self._looked = -1  # the step whose pictures were looked at last

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Keep what was said before the step that a resumed run goes on from."""
        with suppress(RunFolderError):
            before = read_run(run.folder).get("warnings", [])
            self.warnings = [each for each in before if each["step"] <= run.first_step]
            if self.warnings != before:
                update_run(run.folder, warnings=self.warnings)

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """Look at the terms, where it is time."""
        self._report = report
        if report.step % max(LEAST, run.total_steps // SHARE) == 0:
            found = self._of_terms(report.terms())
            if found:
                self._warn(run.folder, report.step, found)

    @hookimpl
    def on_evaluation(self, run: RunInfo) -> None:
        """Look at the pictures."""
        self._look(run.folder)

    @hookimpl
    def on_checkpoint(self, run: RunInfo) -> None:
        """Look at the pictures, unless that was done at this step."""
        self._look(run.folder)

    def _of_terms(self, terms: Mapping[str, float]) -> str | None:
        """What the last looks have in common that is bad."""
        scored = {name: value for name, value in terms.items() if name in SCORED}
        if not scored:  # alone, or a game whose terms are called otherwise
            self._terms.clear()
            return None
        self._terms.append(scored)
        if len(self._terms) < LOOKS:
            return None
        if all(0 <= value < TOLD_APART for look in self._terms for value in look.values()):
            return "told apart"
        return "scored alike" if all(_alike(self._of(name)) for name in scored) else None

    def _of(self, name: str) -> list[float]:
        return [look[name] for look in self._terms if name in look]

    def _look(self, folder: Path) -> None:
        if self._report is None or not self._is_due(self._report.step):
            return
        self._looked = self._report.step
        self._constant = self._constant + 1 if is_constant(self._report.samples(PICTURES)) else 0
        if self._constant == PICTURE_LOOKS:
            self._warn(folder, self._report.step, "one fill")

    def _is_due(self, step: int) -> bool:
        return step >= SOONEST and step != self._looked and "one fill" not in self._told

    @property
    def _told(self) -> set[str]:
        return {each["kind"] for each in self.warnings}

    def _warn(self, folder: Path, step: int, kind: str) -> None:
        if kind in self._told:
            return
        self.warnings.append({"step": step, "kind": kind, "warning": SAID[kind]})
        log.warning("step %d: %s", step, SAID[kind])
        with suppress(OSError, RunFolderError):  # the run itself will meet the disk's failure, and tell of it
            update_run(folder, warnings=self.warnings)


def _alike(values: list[float]) -> bool:
    return max(values) - min(values) <= ALIKE * abs(sum(values) / len(values))


# Pictures ---------------------------------------------------------------------------------------


def is_constant(samples: Evaluated) -> bool:
    """Whether what was made at a pixel is the same in every picture, where the data are not.

    Where pixels are hidden, only what was made there counts, and the data are what other pictures show
    there. Where no pixel is both, all that is shown stands for the data.
    """
    if len(samples.made) < 2:
        return False
    hidden = samples.made.new_ones(samples.made.shape)
    if samples.observed is not None and samples.observed.shape[-2:] == samples.made.shape[-2:]:
        hidden = (~samples.observed).to(hidden.dtype).expand_as(samples.made)
    made, there = _variance(samples.made.float(), hidden)
    wanted = _spread_of_data(samples, hidden, there)
    if not there.any() or wanted < SPREAD:
        return False
    return float(made[there].mean().sqrt()) < CONSTANT * wanted


def _spread_of_data(samples: Evaluated, hidden: Tensor, there: Tensor) -> float:
    """How much measurements differ at the pixels `there`; of those that are no pictures, nothing is known."""
    if samples.y.shape != samples.made.shape:
        return 1.0
    shown = 1 - hidden if bool((hidden == 0).any()) else hidden
    variance, both = _variance(samples.y.float(), shown)
    both = both & there if bool((both & there).any()) else both
    return float(variance[both].mean().sqrt()) if both.any() else 0.0


def _variance(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Variance over pictures at each pixel (C, H, W), and where there are two or more to take it of."""
    count = weights.sum(0)
    mean = (weights * values).sum(0) / count.clamp(min=1)
    variance = (weights * (values - mean).square()).sum(0) / count.clamp(min=1)
    return variance, count >= 2
