"""Compiled networks train as plain ones do, and nothing else of a run is compiled."""

from __future__ import annotations

import json

import engine_fakes as fakes
import pytest
import torch
from click.testing import CliRunner

from ambientkit import compiling, hookimpl
from ambientkit.cli import main
from ambientkit.errors import InputError, RunError
from ambientkit.machine import choose

CPU = {"device": "cpu", "precision": "fp32"}


class Terms:
    """A callback that keeps the terms of every step."""

    def __init__(self) -> None:
        self.steps = []

    @hookimpl
    def on_step_end(self, run, report):
        self.steps.append(report.terms())


@pytest.fixture
def traced(monkeypatch):
    """Graphs are taken and differentiated as for a compiled program, but run by torch: no C++ is needed."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")


def game(**changes):
    critic = {"kind": "dcgan", "width": 2, "spectral_norm": True}
    return fakes.tiny(generator={"kind": "glcic", "width": 2}, further=fakes.FURTHER, **changes) | {
        "discriminator": critic,
        "fidelity": [{"kind": "held_out"}],
    }


def trained(engine, out, recipe, **how):
    terms = Terms()
    result = engine.run(recipe, out=out, callbacks=[terms], **CPU, **how)
    return terms.steps, fakes.contents(max(result.folder.glob("checkpoints/step-*"))), result.folder


def close(one, other):
    assert one[0] and len(one[0]) == len(other[0])
    for mine, theirs in zip(one[0], other[0], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    assert one[1].keys() == other[1].keys()


def test_the_last_of_many_games_of_a_process_is_compiled_too(traced, engine, tmp_path, monkeypatch):
    """Torch keeps a few programs for a network's class, of whatever shapes and weights."""
    made = []
    monkeypatch.setattr(compiling, "BACKEND", lambda program, _: made.append(program) or program.forward)
    counts = []
    for batch in (2, 3, 4, 5, 6):
        made.clear()
        train = {"steps": 2, "batch_size": batch}
        engine.run(game(train=train), out=tmp_path, compile="on", **CPU)
        counts.append(len(made))
    assert counts[0] > 2 and counts == counts[:1] * len(counts)


def test_it_is_the_same_game(traced, engine, tmp_path):
    plain = trained(engine, tmp_path / "plain", game())
    compiled = trained(engine, tmp_path / "compiled", game(), compile="on")
    close(plain, compiled)
    records = [json.loads((each[2] / "run.json").read_text())["compiled"] for each in (plain, compiled)]
    assert records == [False, True]
    assert str(choose("cpu", "fp32", "on")) == "cpu, fp32, compiled"


@pytest.mark.slow
def test_so_it_is_as_a_program_in_machine_code(engine, tmp_path):
    plain = trained(engine, tmp_path / "plain", game())
    close(plain, trained(engine, tmp_path / "compiled", game(), compile="on"))


def test_a_resumed_run_is_compiled_as_before(traced, engine, tmp_path, monkeypatch):
    _, _, folder = trained(engine, tmp_path, game(), compile="on")
    seen = []
    compile_networks = compiling.compile_networks
    monkeypatch.setattr(
        "ambientkit.trainer.compile_networks", lambda *game: seen.append(compile_networks(*game))
    )
    engine.resume(folder, **CPU)
    assert len(seen) == 1
    engine.resume(folder, compile="off", **CPU)
    assert len(seen) == 1


@pytest.mark.parametrize(("penalty", "count"), [(0.0, 2), (0.1, 1)])
def test_a_discriminator_with_a_penalised_gradient_stays_plain(traced, ready, penalty, count):
    recipe = {**game(), "objective": {"kind": "hinge", "r1": penalty}}
    trainer = ready(recipe).trainer
    networks = compiling.compile_networks(trainer.game, trainer.plan)
    assert len(networks) == count and networks[0] is trainer.game.generator.network


def test_norms_of_all_processes_are_not_compiled(engine, tmp_path):
    recipe = game(train={"sync_batch_norm": True})
    with pytest.raises(InputError, match="sync_batch_norm cannot be compiled"):
        engine.run(recipe, out=tmp_path, compile="on", **CPU)
    assert not list(tmp_path.glob("tiny/*")), "nothing is left that looks like a run"


def test_where_it_cannot_be_compiled_that_is_said(engine, tmp_path, monkeypatch):
    def broken(graph, inputs):
        raise ZeroDivisionError("no compiler")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    torch.compiler.reset()
    with pytest.raises(RunError, match=r"cannot be compiled here .*use --compile off"):
        engine.run(game(), out=tmp_path, compile="on", **CPU)


def test_other_wishes_are_refused():
    with pytest.raises(InputError, match="compile 'maybe' is not supported; use auto, on or off"):
        choose("cpu", "fp32", "maybe")
    said = CliRunner().invoke(main, ["run", "quickstart", "--compile", "maybe"])
    assert said.exit_code == 2 and "'auto', 'on', 'off'" in said.output
