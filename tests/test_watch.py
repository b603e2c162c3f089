"""The watch: it warns of what is lost for long, says nothing of a healthy run, and changes no bit."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import engine_fakes as fakes
import pytest
import torch

from ambientkit import Evaluated, hookimpl
from ambientkit.interfaces import RunInfo
from ambientkit.run_folder import write_json
from ambientkit.watch import SAID, SOONEST, Watch, is_constant

CPU = {"device": "cpu", "precision": "fp32"}


class Report:
    """A step whose terms and pictures are given."""

    def __init__(self, step: int, terms: dict[str, float], samples: Evaluated | None = None) -> None:
        self.step, self._terms, self._samples = step, terms, samples

    def terms(self) -> dict[str, float]:
        return self._terms

    def samples(self, count: int) -> Evaluated:
        return self._samples


def watched(folder: Path, steps: list[dict[str, float]], first: int = 0) -> list[tuple[int, str]]:
    """What is in run.json after a run with these terms."""
    if not (folder / "run.json").exists():
        write_json(folder / "run.json", {"format": 1})
    watch, info = Watch(), RunInfo("x", folder, {}, len(steps), 4, first)
    watch.on_run_start(run=info)
    for step, terms in enumerate(steps[first:], first + 1):
        watch.on_step_end(run=info, report=Report(step, terms))
    found = json.loads((folder / "run.json").read_text("utf-8")).get("warnings", [])
    assert all(each["warning"] == SAID[each["kind"]] for each in found)
    return [(each["step"], each["kind"]) for each in found]


def game(real: float, fake: float) -> dict[str, float]:
    return {"discriminator/real": real, "discriminator/fake": fake, "generator/adversarial": 3.0}


def around(value: float, by: float, count: int) -> list[float]:
    numbers = random.Random(0)
    return [value * (1 + numbers.uniform(-by, by)) for _ in range(count)]


# Terms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [game(0.0, 0.0), game(0.001, 0.009), {"discriminator/pairs": 0.002}])
def test_a_saturated_discriminator_is_told_once_when_it_has_lasted(tmp_path, lost):
    assert watched(tmp_path, [lost] * 1000) == [(200, "told apart")]


def test_a_longer_run_is_given_longer(tmp_path):
    assert watched(tmp_path, [game(0.0, 0.0)] * 10_000) == [(2000, "told apart")]


@pytest.mark.parametrize("lost", [game(0.6931, 0.6931), game(1.0, 1.0), {"discriminator/pairs": 0.6931}])
def test_a_discriminator_that_scores_everything_alike_is_told(tmp_path, lost):
    assert watched(tmp_path, [lost] * 1000) == [(200, "scored alike")]


@pytest.mark.parametrize(
    ("real", "fake"),
    [(0.69, 0.69), (1.0, 1.0), (0.3, 0.2), (0.05, 0.02), (-5.0, 4.0), (-0.002, 0.001)],
    ids=["even", "hinge", "ahead", "far ahead", "Wasserstein", "clipped"],
)
def test_a_healthy_game_is_not(tmp_path, real, fake):
    terms = zip(around(real, 0.02, 3000), around(fake, 0.02, 3000), strict=True)
    assert watched(tmp_path, [game(*each) for each in terms]) == []


def test_a_good_moment_now_and_then_is_enough(tmp_path):
    steps = [game(0.0, 0.0)] * 1000
    for step in range(189, 1000, 190):
        steps[step] = game(0.5, 0.5)
    assert watched(tmp_path, steps) == []


@pytest.mark.parametrize("terms", [{"generator/held_out": 0.0}, {"discriminator/own": 0.0}])
def test_what_is_no_game_or_called_otherwise_is_not_judged(tmp_path, terms):
    assert watched(tmp_path, [terms] * 1000) == []


def test_a_phase_without_a_discriminator_begins_the_count_anew(tmp_path):
    alone = {"generator/held_out": 0.1}
    assert watched(tmp_path, ([game(0.0, 0.0)] * 150 + [alone] * 50) * 5) == []


def test_a_resumed_run_keeps_what_was_said_before_its_checkpoint(tmp_path):
    steps = [game(0.0, 0.0)] * 1000
    assert watched(tmp_path, steps) == [(200, "told apart")]
    assert watched(tmp_path, steps, first=500) == [(200, "told apart")]
    assert watched(tmp_path, steps, first=100) == [(300, "told apart")], "those steps are done again"


# Pictures ---------------------------------------------------------------------------------------


def pictures(made: str, observed: str | None = "holes", *, data: str = "alike faces") -> Evaluated:
    numbers = torch.Generator().manual_seed(0)
    y = torch.rand(16, 3, 12, 12, generator=numbers) * 2 - 1
    if data == "black":
        y = torch.full_like(y, -1.0)
    pattern = torch.rand(3, 12, 12, generator=numbers)
    fill = {
        "noise": torch.rand(y.shape, generator=numbers),
        "one": pattern.expand_as(y),
        "nearly one": pattern + 0.001 * torch.randn(y.shape, generator=numbers),
    }[made]
    seen = None
    if observed:
        seen = torch.ones(16, 1, 12, 12, dtype=torch.bool)
        for row in range(16):
            corner = row % 5 if observed == "holes" else 3
            seen[row, :, corner : corner + 6, 2:9] = False
        fill = torch.where(seen, y, fill)  # at observed pixels it may well differ
    return Evaluated(y, seen, fill, fill, None)


@pytest.mark.parametrize("observed", ["holes", "one hole", None])
@pytest.mark.parametrize(("made", "lost"), [("noise", False), ("one", True), ("nearly one", True)])
def test_fills_that_are_one_are_seen_and_those_that_differ_are_not(made, observed, lost):
    assert is_constant(pictures(made, observed)) == lost


def test_where_the_data_are_constant_a_fill_may_be(tmp_path):
    assert not is_constant(pictures("one", data="black"))


def test_measurements_that_are_no_pictures_are_no_yardstick_but_fills_are_still_seen():
    found = pictures("one", None)
    assert is_constant(Evaluated(torch.rand(16, 7), None, found.made, found.made, None))
    assert not is_constant(Evaluated(found.y[:1], None, found.made[:1], found.made[:1], None))


# Runs -------------------------------------------------------------------------------------------

GAME = {"discriminator": {"kind": "fakes/critic"}, "objective": {"kind": "hinge"}}


def long_run(**changes: Any) -> dict[str, Any]:
    return fakes.fidelity_only(
        **GAME, train={"steps": SOONEST + 100, "checkpoints": {"every": 50}}, **changes
    )


def warnings_of(engine, recipe: dict[str, Any], out: Path) -> list[tuple[int, str]]:
    folder = engine.run(recipe, out=out, **CPU).folder
    said = json.loads((folder / "run.json").read_text("utf-8")).get("warnings", [])
    log = (folder / "log.txt").read_text("utf-8")
    assert all(f"WARNING step {each['step']}: {each['warning']}" in log for each in said)
    return [(each["step"], each["kind"]) for each in said]


def test_a_healthy_run_is_not_warned_of(engine, tmp_path):
    healthy = long_run(fidelity=[{"kind": "held_out", "weight": 10}], further=fakes.FURTHER)
    assert warnings_of(engine, healthy, tmp_path) == []


def test_a_blind_discriminator_is_warned_of(engine, tmp_path, monkeypatch):
    blind = lambda self, view: self.layer.weight.sum() * 0 + torch.zeros(len(view.y))  # noqa: E731
    monkeypatch.setattr(fakes.Critic, "forward", blind)
    assert warnings_of(engine, long_run(), tmp_path) == [(200, "scored alike")]


def test_a_generator_that_makes_one_fill_is_warned_of(engine, tmp_path, monkeypatch):
    plain = fakes.Net.forward
    monkeypatch.setattr(fakes.Net, "forward", lambda self, *given: plain(self, *given) * 0 + 0.25)
    assert warnings_of(engine, long_run(), tmp_path) == [(300, "one fill")]


def test_the_watch_changes_no_bit(engine, tmp_path, monkeypatch):
    class Nothing:
        @hookimpl
        def on_run_end(self):
            return

    recipe = long_run(generator={"kind": "fakes/net", "dropout": 0.3})
    recipe["train"]["steps"] = SOONEST
    one = engine.run(recipe, out=tmp_path / "one", **CPU)
    monkeypatch.setattr("ambientkit.watch.Watch", Nothing)
    other = engine.run(recipe, out=tmp_path / "other", **CPU)
    name = f"checkpoints/step-{SOONEST:07d}"
    assert fakes.same(fakes.contents(one.folder / name), fakes.contents(other.folder / name))
