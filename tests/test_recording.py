"""Recorded updates: the same game, replayed; and what has no recording."""

from __future__ import annotations

import inspect
import warnings
from contextlib import nullcontext
from dataclasses import replace
from unittest import mock

import engine_fakes as fakes
import pytest
import torch
from engine_recipes import merged
from tracing import Tracer
from waiting import Waits

from ambientkit import recording
from ambientkit.errors import NonFiniteError
from ambientkit.finite import FiniteWatch
from ambientkit.machine import Machine
from ambientkit.optim import load_optimizer, optimizer_state
from ambientkit.recording import CASES, WARM_UP, CudaGraphs, Recordings, runner_of, waits_noted

STEPS = WARM_UP + 4
CRITIC = {"kind": "dcgan", "width": 2, "spectral_norm": True}
PENALISED = {"kind": "r3gan", "width": 2}
ADAM = {"kind": "adam", "lr": 1e-3, "betas": [0.5, 0.9]}
RATES = {"generator_optimizer": ADAM, "discriminator_optimizer": ADAM}
HALVED = {"schedules": {"learning_rate": {"start": 1.0, "end": 0.1}}}
SMALL = {"kind": "glcic", "width": 2, "norm": "none", "dilations": [1, 2, 2, 2]}
GAMES = {
    "the mission's": {},
    "batch norm, more hidden": {"generator": {**SMALL, "norm": "batch"}, "further": fakes.FURTHER},
    "completed first": {"further": {**fakes.FURTHER, "completed_first": True}},
    "several fills": {
        "generator": {"kind": "resunet", "width": 4, "latent_channels": 2},
        "further": fakes.FURTHER,
        "fidelity": [{"kind": "held_out_energy", "weight": 3}],
    },
    "a local look": {"discriminator": {"kind": "glcic", "width": 4, "spectral_norm": True}},
    "gradient of a gradient": {"discriminator": PENALISED, "objective": {"kind": "rpgan", "r1": 1, "r2": 1}},
    "lazily": {"discriminator": PENALISED, "objective": {"kind": "hinge", "r1": 1, "penalty_every": 2}},
    "between both": {"discriminator": PENALISED, "objective": {"kind": "wgan_gp"}},
    "clipped": {"objective": {"kind": "wgan_clip"}, "train": {"gradient_clip": 0.1}},
    "dropout": {"generator": {"kind": "fakes/net", "dropout": 0.5}},
    "a shared pass": {"train": {"share_forward": True}},
    "in parts": {"train": {"accumulate": 2}},
    "other rates": {"train": HALVED},
    "consistent": {
        "composite": False,
        "fidelity": [{"kind": "measurement_consistency"}, {"kind": "feature_matching", "weight": 0.1}],
    },
}


def game(**changes):
    base = {"generator": SMALL, "discriminator": CRITIC, "train": {**RATES, "steps": STEPS, "batch_size": 4}}
    return fakes.tiny(**merged(base, changes))


def smallest(**changes):
    """Two layers a network, for how it is done; `game` is for what is done."""
    return game(**{"generator": {"kind": "fakes/net"}, "discriminator": {"kind": "fakes/critic"}, **changes})


def recorded(ready, recipe, waits=None):
    trainer, tracer = ready(recipe).trainer, Tracer(waits)
    trainer._run = Recordings(trainer.game, tracer)
    return trainer, tracer


def weights(trainer):
    players = [trainer.game.generator, trainer.game.discriminator]
    return [value for player in players for value in fakes.weights(player.network).values()]


@pytest.mark.parametrize("name", GAMES)
def test_it_is_the_same_game(ready, monkeypatch, name):
    """Terms step by step: were anything fixed that is not (a rate, theta', a batch), they would part."""
    monkeypatch.setattr(recording, "WARM_UP", 1)
    plain, (trainer, tracer) = ready(game(**GAMES[name])).trainer, recorded(ready, game(**GAMES[name]))
    for _ in range(4):
        wanted, found = plain.advance(), trainer.advance()
        assert found.keys() == wanted.keys()
        for term, value in found.items():
            torch.testing.assert_close(value, wanted[term], rtol=1e-3, atol=1e-5)
    assert tracer.recorded >= (1 if name == "a shared pass" else 2) and tracer.replayed > tracer.recorded


@pytest.mark.parametrize("name", GAMES)
def test_no_update_makes_a_gpu_wait(ready, name):
    """Nor do the draws for it; what is kept on the device was sent there in the step before."""
    trainer = ready(game(**GAMES[name])).trainer
    trainer.game.watch = FiniteWatch(deferred=True)
    trainer.advance()
    real = trainer._batch(1)
    with Waits() as waits:
        for number, player in enumerate(("discriminator", "generator")):
            trainer._update(player, number, real, trainer._draws(player, number, 1))
    assert not waits.found


def test_the_weights_are_those_of_the_same_game(ready):
    """Without norms, whose biases drift on rounding alone."""
    plain, (trainer, tracer) = ready(game()).trainer, recorded(ready, game())
    before = [value.clone() for value in weights(plain)]
    for _ in range(STEPS):
        plain.advance(), trainer.advance()
    assert tracer.recorded == 2 and tracer.replayed == 2 * (STEPS - WARM_UP)
    for start, mine, theirs in zip(before, weights(trainer), weights(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
        assert not torch.equal(start, theirs) or theirs.numel() == 1


def test_terms_of_a_step_stay_what_they_were(ready):
    """A replay writes where the last one wrote; whoever kept its terms has them still."""
    trainer, _ = recorded(ready, smallest())
    for _ in range(WARM_UP + 1):
        kept = trainer.advance()
    before = {name: float(value) for name, value in kept.items()}
    trainer.advance()
    assert {name: float(value) for name, value in kept.items()} == before


def test_a_lazy_penalty_has_a_recording_of_its_own(ready):
    trainer, tracer = recorded(ready, smallest(objective={"kind": "hinge", "r1": 1, "penalty_every": 2}))
    for _ in range(2 * WARM_UP + 2):
        trainer.advance()
    assert tracer.recorded == 3  # the discriminator's with and without, and the generator's
    assert len(trainer._run._kept) == 3


def test_what_changes_every_step_is_not_recorded(ready):
    ramp = {"schedules": {"penalty": {"start": 1.0, "end": 0.1}}}
    trainer, tracer = recorded(ready, smallest(objective={"kind": "hinge", "r1": 1}, train=ramp))
    for _ in range(STEPS):
        trainer.advance()
    assert tracer.recorded == 1  # the generator's
    assert tracer.as_it_is == STEPS + WARM_UP


def test_cases_are_counted_within_limits(ready, monkeypatch):
    monkeypatch.setattr(recording, "SEEN", 5)
    monkeypatch.setattr(recording, "CASES", 1)
    trainer, tracer = recorded(ready, smallest())
    for _ in range(STEPS):
        trainer.advance()
        assert len(trainer._run._seen) <= 5
    assert tracer.recorded == 1 and CASES > 1


def test_a_batch_of_another_form_is_another_case(ready):
    """The last batch of a set, say: a recording reads one form alone."""
    trainer, tracer = recorded(ready, smallest())
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    update = recording_update(trainer, real, draws)
    assert update() and tracer.recorded == 1
    known = {"gain": torch.ones(4)}
    other = type(real)(real.y, real.observed, known)
    assert trainer._run(renamed, other, draws) and tracer.recorded == 1


def recording_update(trainer, real, draws):
    for _ in range(WARM_UP):
        trainer._run(renamed, real, draws)
    return lambda: trainer._run(renamed, real, draws)


def test_a_reason_that_stands_for_itself_is_told_as_it_is():
    """And not what was handled on the way to it."""
    for cause in (KeyError("x"), OSError("no such file")):
        try:
            try:
                raise cause
            except (KeyError, OSError):
                raise RuntimeError("clear reason")  # noqa: B904 - as libraries do
        except RuntimeError as error:
            assert recording._cause(error) == "clear reason"


def test_a_case_that_cannot_be_recorded_is_told_of_once(ready, monkeypatch, caplog):
    """However often cases are counted anew, as under a ramp; and it takes no other's place."""
    monkeypatch.setattr(recording, "SEEN", 8)
    monkeypatch.setattr(recording, "CASES", 1)
    trainer, tracer = recorded(ready, smallest(), ["sensor.py:7"])
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    for number in range(20):
        trainer._run(leftmost_of_y, real, draws)
        trainer._run(leftmost_of_y, real, draws, float(number))
    said = [each.message for each in caplog.records if "not recorded" in each.message]
    assert len(said) == 1
    tracer.waits = []
    for _ in range(2 * WARM_UP + 1):  # its count may be begun anew once
        trainer._run(renamed, real, draws)
    assert tracer.recorded == 1


def leftmost_of_y(game, real, draws, number=0.0):
    return {"left": real.y[..., 0].mean() + number}


def test_theta_in_another_order_is_another_case(ready):
    """Values of one shape would be taken for each other."""
    trainer, tracer = recorded(ready, smallest())
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    orders = [{"top": torch.zeros(4), "left": torch.ones(4)}, {"left": torch.ones(4), "top": torch.zeros(4)}]
    for _ in range(WARM_UP + 1):
        for theta in orders:
            terms = trainer._run(leftmost, real, replace(draws, theta_fresh=theta))
            assert float(terms["left"]) == 1
    assert tracer.recorded == 2


def leftmost(game, real, draws):
    return {"left": draws.theta_fresh["left"].mean()}


def renamed(game, real, draws):
    return {"mean": real.y.mean()}


def test_an_update_that_makes_the_host_wait_stays_as_it_is(ready, caplog):
    trainer, tracer = recorded(ready, smallest(), ["sensor.py:7"])
    for _ in range(STEPS):
        trainer.advance()
    assert tracer.recorded == 0 and tracer.as_it_is == 2 * STEPS
    said = [each.message for each in caplog.records if "not recorded" in each.message]
    assert len(said) == 2
    assert said[1] == (
        "generator_update is run as it is and not recorded: it makes the host wait for the GPU at sensor.py:7"
    )


def test_what_is_not_finite_is_told_as_ever(ready):
    trainer, _ = recorded(ready, smallest())
    for _ in range(WARM_UP + 1):
        trainer.advance()
    with torch.no_grad():
        next(trainer.game.generator.network.parameters()).fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="'discriminator/fake' became nan"):
        trainer.advance()


def test_what_cannot_be_recorded_is_said_and_run_as_it_is(ready, caplog):
    """Reading a number is what a GPU cannot record; here its recorder finds that out while it records."""

    def peeking(game, real, draws):
        return {"mean": real.y.mean() * float(real.y.mean())}

    trainer, tracer = recorded(ready, smallest())
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    found = [trainer._run(peeking, real, draws)["mean"] for _ in range(WARM_UP + 2)]
    assert len(set(map(float, found))) == 1 and tracer.recorded == 0
    (said,) = [each.message for each in caplog.records if "not recorded" in each.message]
    assert said.startswith("peeking is run as it is and not recorded: It appears that you're trying to get")


def test_the_first_cause_is_told(ready, caplog, monkeypatch):
    """Ending a recording that failed fails too, and would be all that one hears of."""

    def failing(self, work):
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        except RuntimeError:
            raise RuntimeError("the recording was not ended")  # noqa: B904 - as torch does it

    monkeypatch.setattr(Tracer, "record", failing)
    trainer, tracer = recorded(ready, smallest())
    for _ in range(STEPS):
        trainer.advance()
    (said,) = [each.message for each in caplog.records if "not recorded" in each.message]
    assert said.endswith(": CUDA out of memory; nothing is recorded any more in this run")
    assert tracer.as_it_is == 2 * STEPS


def test_after_a_recording_that_failed_none_is_replayed(ready, monkeypatch):
    """Torch may take what is drawn then for a part of the one that failed."""
    trainer, tracer = recorded(ready, smallest())
    record = Tracer.record

    def one_alone(self, work):
        if self.recorded:
            raise RuntimeError("the second cannot be recorded")
        return record(self, work)

    monkeypatch.setattr(Tracer, "record", one_alone)
    for _ in range(STEPS):
        trainer.advance()
    assert (tracer.recorded, tracer.replayed) == (1, 1)
    assert not any(trainer._run._kept.values())


# Optimisers -------------------------------------------------------------------------------------


def test_a_checkpoint_is_the_same_whether_recorded_or_not(ready):
    plain, (trainer, _) = ready(smallest()).trainer, recorded(ready, smallest())
    for _ in range(STEPS):
        plain.advance(), trainer.advance()
    trainer.game.generator.optimizer.param_groups[0]["capturable"] = True  # as on a GPU
    mine, theirs = (optimizer_state(each.game.generator.optimizer) for each in (trainer, plain))
    for one, other in zip(mine["param_groups"], theirs["param_groups"], strict=True):
        assert one.keys() == other.keys()
        assert {key: type(value) for key, value in one.items()} == {k: type(v) for k, v in other.items()}
        assert one["lr"] == pytest.approx(other["lr"], rel=1e-6) and one["capturable"] is False


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "sgd", "adadelta"])
def test_a_resumed_optimiser_keeps_its_rates_where_they_are(ready, kind):
    """A run that was recorded may go on as it is, and the other way round, at the recipe's very rate."""
    optimizer = {"kind": kind, "lr": 1e-3}
    recipe = smallest(train={"generator_optimizer": optimizer})
    plain, (trainer, _) = ready(recipe).trainer, recorded(ready, recipe)
    for one, other in ((plain, trainer), (trainer, plain)):
        one.advance()
        own = one.game.generator.optimizer.param_groups[0]["lr"]
        load_optimizer(one.game.generator.optimizer, optimizer_state(other.game.generator.optimizer))
        now = one.game.generator.optimizer.param_groups[0]["lr"]
        assert type(now) is type(own) and float(now) == float(own)
        one.advance()


# Where ------------------------------------------------------------------------------------------


def test_on_a_cpu_nothing_is_recorded(ready, monkeypatch):
    trainer = ready(smallest()).trainer
    monkeypatch.setattr(recording, "CudaGraphs", lambda device: Tracer())
    trainer.game.machine = Machine(torch.device("cpu"), False, compiled=True)
    assert not isinstance(runner_of(trainer.game), Recordings)


@pytest.mark.parametrize(
    ("compiled", "processes", "there"), [(True, 1, True), (False, 1, False), (True, 2, False)]
)
def test_on_a_gpu_one_process_records_where_it_is_asked_to(ready, monkeypatch, compiled, processes, there):
    trainer = ready(smallest()).trainer
    monkeypatch.setattr(recording, "CudaGraphs", lambda device: Tracer())
    monkeypatch.setattr(recording, "rates_on", lambda optimizer, device: None)
    group = type(trainer.game.machine.group)(0, processes)
    trainer.game.machine = Machine(torch.device("cuda"), False, group, compiled)
    assert isinstance(runner_of(trainer.game), Recordings) == there


def test_waits_are_told_apart_from_other_warnings(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.warns(UserWarning, match="something else") as told, waits_noted() as waits:
        warnings.warn("something else", stacklevel=1)
        warnings.warn("called a synchronizing CUDA operation (at ...)", stacklevel=1)
        warnings.warn("Synchronization debug mode is a prototype feature", stacklevel=1)
        warnings.warn("it has capturable=True,\nyou should set capturable=False.", stacklevel=1)
    assert len(told) == 1 and len(waits) == 1 and waits[0].startswith(f"{__file__}:")
    assert modes == ["warn", 0]


def test_work_is_recorded_on_the_stream_on_which_it_was_done_before(monkeypatch):
    """The order of what is asked of torch, whose GPU half is not here; every call must fit its signature."""
    said, graph_of = [], inspect.signature(torch.cuda.graph)
    stream, current, dice = mock.MagicMock(), mock.MagicMock(), mock.MagicMock()
    stream.wait_stream.side_effect = lambda other: said.append("waits" if other is current else "?")
    current.wait_stream.side_effect = lambda other: said.append("waited for" if other is stream else "?")

    def graph(*args, **options):
        asked = graph_of.bind(*args, **options).arguments
        assert asked["stream"] is stream and asked["pool"] == (0, 1)
        assert asked["capture_error_mode"] == "thread_local"
        return nullcontext()

    for name, double in {
        "Stream": lambda device: stream,
        "graph_pool_handle": lambda: (0, 1),
        "current_stream": lambda device: current,
        "stream": lambda chosen: nullcontext(said.append("works" if chosen is stream else "?")),
        "set_stream": lambda chosen: said.append("goes back" if chosen is current else "?"),
        "CUDAGraph": mock.MagicMock,
        "graph": graph,
        "get_sync_debug_mode": lambda: 0,
        "set_sync_debug_mode": lambda mode: None,
        "device": lambda device: nullcontext(said.append("there" if device is stream.device else "?")),
        "default_generators": [dice] * 2,
    }.items():
        monkeypatch.setattr(torch.cuda, name, double)
    graphs = CudaGraphs(torch.device("cuda"))
    with graphs.aside(watched=True):
        pass
    assert said == ["waits", "works", "waited for"]
    values, replay = graphs.record(lambda: torch.ones(2))
    assert values.tolist() == [1, 1] and callable(replay) and said[3:] == ["there", "goes back"]
    assert not dice.graphsafe_set_state.called
    with pytest.raises(ZeroDivisionError):
        graphs.record(lambda: torch.ones(2) / (1 // 0))
    assert said[3:] == ["there", "goes back"] * 2
    dice.graphsafe_set_state.assert_called_once_with(dice.clone_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")
@pytest.mark.parametrize(
    ("name", "bf16", "networks"),
    [
        *((name, False, "plain") for name in GAMES),
        ("the mission's", True, "plain"),
        ("the mission's", False, "compiled"),
    ],
)
def test_it_is_the_same_game_on_a_gpu(engine, tmp_path, monkeypatch, name, bf16, networks):
    if networks == "plain":
        monkeypatch.setattr("ambientkit.trainer.compile_networks", lambda game, plan: [])
    found = []
    for compiled in (False, True):
        machine = Machine(torch.device("cuda"), bf16, compiled=compiled)
        prepared = fakes.prepare(engine.load(game(**GAMES[name])), machine, tmp_path / "cache")
        trainer = prepared.trainer(tmp_path, lambda built: fakes.lifecycle(list(built)), warm=False)
        found.append([trainer.advance() for _ in range(STEPS)])
    kept = trainer._run._kept
    assert len(kept) >= (1 if name == "a shared pass" else 2) and all(kept.values())
    tolerance = 3e-2 if bf16 else 1e-3
    for plain, replayed in zip(*found, strict=True):
        for term, value in plain.items():
            torch.testing.assert_close(value, replayed[term], rtol=tolerance, atol=tolerance / 100)
