"""The loops that are timed against each other do the same mathematics; the suite tells what it measured."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace

import pytest
import torch
from docs_tables import ROOT
from safetensors.torch import load_file
from torch.nn.utils import parametrize

from ambientkit import hookimpl
from ambientkit.draws import Dice
from ambientkit.machine import choose
from ambientkit.preparation import prepare

sys.path.insert(0, str(ROOT))  # the suite is a package of the checkout

from benchmarks.training import bare, naive, own, peaks, profiling, run, start, turns
from benchmarks.training.contest import Row, ratios
from benchmarks.training.setting import Setting

STEPS = 2
TINY = Setting(batch=2, width=4, size=32)


class Recorder:
    def __init__(self):
        self.terms = []

    @hookimpl
    def on_step_end(self, run, report):
        self.terms.append(report.terms())


class Own:
    """ambientkit's loop on the recipe that is timed: its terms, and all that the others need to repeat it."""

    def __init__(self, folder):
        engine, recorder = own.engine(folder), Recorder()
        plan = engine.load("celeba_block", *own.completing_changes(TINY, STEPS))
        result = engine.run(plan, callbacks=[recorder], **own.where(TINY, folder))
        self.terms = recorder.terms
        self.average = load_file(max(result.folder.glob("checkpoints/step-*")) / "average.safetensors")
        self.machine = choose("cpu", "fp32")
        self.prepared = prepare(plan, self.machine, result.folder.parents[2] / "cache")
        self.game = self.prepared.game  # with first weights, which depend on the seed alone

    def steps(self):
        """Batch, what is observed of it, and what the fakes' sensor observes for either update."""
        method, network = self.game.method, self.game.generator.network
        dice = Dice(method, self.machine, network, 0.0, TINY.batch, 0)
        for step in range(STEPS):
            real = self.prepared.batches(step)
            players = [(step, "discriminator", 0), (step, "generator", 1)]
            thetas = [dice(*player).theta_fresh for player in players]
            yield real.y, real.observed, [method.sensor.observed(each, method.image_shape) for each in thetas]


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Own(str(tmp_path_factory.mktemp("own")))


def begin_alike(network, other):
    """Weights in the order of the layers, whatever they are called."""
    values = other.state_dict().values()
    network.load_state_dict(dict(zip(network.state_dict(), values, strict=True)))


def test_the_bare_loop_is_the_same_game(ours):
    theirs = bare.Bare(TINY)
    begin_alike(theirs.generator, ours.game.generator.network)
    begin_alike(theirs.average, ours.game.generator.network)
    begin_alike(theirs.discriminator, ours.game.discriminator.network)
    for told, drawn in zip(ours.terms, ours.steps(), strict=True):
        terms = {name: float(value) for name, value in theirs.step(*drawn).items()}
        assert terms == pytest.approx(told, abs=1e-5)
    for name, value in theirs.average.named_parameters():
        torch.testing.assert_close(value, ours.average[name], atol=1e-5, rtol=0)
    assert ours.terms[0] != pytest.approx(ours.terms[1], abs=1e-5)


def test_the_naive_loop_is_the_same_game_but_for_when_spectral_norm_is_taken(ours, monkeypatch):
    for update in ("_judge", "_complete"):
        once = parametrize.cached()(getattr(naive.Naive, update))
        monkeypatch.setattr(naive.Naive, update, once)
    theirs = naive.Naive(TINY)
    begin_alike(theirs.generator, ours.game.generator.network)
    begin_alike(theirs.discriminator, ours.game.discriminator.network)
    for told, (y, observed, again) in zip(ours.terms, ours.steps(), strict=True):
        terms = theirs.step(y.contiguous(), (~observed).float(), [(~seen).float() for seen in again])
        assert terms == pytest.approx(told, abs=1e-5)


def test_both_hide_blocks_of_the_recipes_size(ours):
    hidden = ~bare.observed_pixels(TINY, 64)
    masks = naive.random_masks(TINY, 64).bool()
    (_, observed, _) = next(ours.steps())
    for each in (hidden, masks, ~observed):
        assert set(each.sum((1, 2, 3)).tolist()) == {TINY.hole**2}
        assert set(each.any(3).sum(2).flatten().tolist()) == {TINY.hole}


def test_a_turn_ends_after_its_steps_and_counts_flops():
    answers = io.StringIO()
    taking = turns.Turns(io.StringIO("steps 3\nflop\nend\n"), answers, warm_up=1)
    done = 0
    with pytest.raises(turns.Over):
        while True:
            torch.ones(2, 3) @ torch.ones(3, 4)
            done += 1
            taking.stepped()
    told = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert done == 1 + 3 + 1
    assert [each["flop"] for each in told] == [0, 0, 2 * 2 * 3 * 4]
    assert all(each["seconds"] >= 0 and each["core"] >= 0 and each["peak_mb"] > 50 for each in told)


def test_ratios_are_of_medians():
    ours = Row("own", "fp32", True, 16, (1.0, 2.0, 9.0), (1.0, 1.0, 1.0), 4 * 10**9, 1.0)
    other = replace(ours, name="bare", own=False, seconds=(4.0, 1.0, 5.0))
    assert ratios([ours, other], lambda row: row.median) == {"own": {"own": 1.0}, "bare": {"own": 2.0}}
    figures = ours.figures(peak=8e9)
    assert figures["share_of_peak"] == 0.25 and figures["pictures_per_second"] == 8
    assert ours.spread == 2.0 and ours.figures(None)["share_of_peak"] is None


@pytest.mark.parametrize(
    ("operation", "family"),
    [
        ("aten::convolution_backward", "convolutions, backward"),
        ("autograd::engine::evaluate_function: ConvolutionBackward0", "convolutions, backward"),
        ("aten::mkldnn_convolution", "convolutions, forward"),
        ("Optimizer.step#Adam.step", "Adam"),
        ("autograd::engine::evaluate_function: torch::autograd::AccumulateGrad", "all else"),
        ("aten::copy_", "casts and copies"),
        ("aten::replication_pad2d", "all else"),
    ],
)
def test_an_operation_is_of_one_family(operation, family):
    assert profiling.family_of(operation) == family


def test_the_suite_from_its_command(tmp_path, capsys):
    out = tmp_path / "figures.json"
    sizes = "--quick --width 4 --batch 2 --size 32 --steps 2 --turns 1 --repeats 1 --precisions fp32"
    run.main(
        [*sizes.split(), "--only", "peaks,completing,profile,generating,preparation,use", "--out", str(out)]
    )
    found = json.loads(out.read_text())
    assert set(found) == {"machine", "setting", "peaks", "completing", "profile", "preparation", "use"}
    assert set(found["peaks"]) == {"copy", "matmul fp32", "convolution fp32"}
    rows = found["completing"]["rows"]
    assert set(rows) == {"own fp32", "own shared fp32", "bare fp32", "naive fp32"}
    assert rows["own shared fp32"]["gflop_per_step"] < rows["own fp32"]["gflop_per_step"]
    assert all(len(row["seconds"]) == 1 and 0 < row["share_of_peak"] < 1 for row in rows.values())
    assert rows["own fp32"]["gflop_per_step"] == rows["bare fp32"]["gflop_per_step"] > 0
    assert rows["naive fp32"]["gflop_per_step"] > rows["bare fp32"]["gflop_per_step"]
    assert found["completing"]["ratios"]["own fp32"]["own fp32"] == 1.0
    assert found["profile"]["convolutions, backward"] > 0 and found["profile"]["Adam"] > 0
    assert found["preparation"]["pictures"] == 32
    assert set(found["use"]["completing"]) == {"1", "16"} and found["use"]["checkpoint_seconds"] > 0
    assert set(found["use"]["larger_seconds"]) == {"windows", "all"}
    assert run.SKIPPED in capsys.readouterr().out


def test_commands_are_timed(monkeypatch):
    some = {name: start.COMMANDS[name] for name in ("python -c pass", "ambientkit validate celeba_block")}
    monkeypatch.setattr(start, "COMMANDS", some)
    nothing, validated = start.commands(1).values()
    assert 0 < nothing < validated


def test_time_to_the_quickstarts_first_step():
    found = start.first_step(1, "data.source.count=40", "data.holdout=8", "train.batch_size=4")
    assert set(found) == {"cold", "warm"} and min(found.values()) > 0


def test_ambientkit_trains_the_networks_of_deepinv(tmp_path):
    changes = [*own.TUTORIAL]
    setting, folder = replace(TINY, size=64), str(tmp_path)
    plan = own.engine(folder).load(
        "ambientgan/celeba_block_pixels", *own.generating_changes(setting), *changes
    )
    game = prepare(plan, choose("cpu", "fp32"), tmp_path / "cache").game
    assert {type(player.network).__name__ for player in (game.generator, game.discriminator)} == {
        "TutorialGenerator",
        "TutorialDiscriminator",
    }


def test_a_part_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        run.main(["--only", "peaks,speed"])
    assert "speed: choose from peaks" in capsys.readouterr().err


def test_the_best_of_several_works_counts():
    def waiting(seconds: float) -> torch.Tensor:
        turns.time.sleep(seconds)
        return torch.empty(0)

    works = [(1.0, lambda: waiting(0.02)), (1.0, lambda: waiting(0.002))]
    assert 100 < peaks.best(iter(works), seconds=0.0) < 500
