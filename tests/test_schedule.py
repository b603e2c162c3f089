"""Rates and phases as functions of the step, and what a run does with them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file

from ambientkit import hookimpl
from ambientkit.recipe_train import PhaseSection, Ramp, SchedulesSection, TrainSection
from ambientkit.schedule import Pace

GAME = {
    "discriminator": {"kind": "dcgan", "width": 4, "mask_channel": False},
    "objective": {"kind": "hinge", "r1": 1.0, "penalty_every": 2},
    "generator": {"kind": "glcic", "width": 4, "norm": "none"},
    "fidelity": [{"kind": "held_out"}],
    "further": {"measurement": {"kind": "block_patch", "size": 6}},
}


def pace(total=10, **train):
    return Pace(TrainSection(steps=total, **train), total)


def test_a_ramp_by_hand():
    ramp = Ramp(start=2, end=4, begin=0.2, until=0.6)
    assert [ramp.at(share) for share in (0, 0.2, 0.3, 0.6, 1)] == pytest.approx([2, 2, 2.5, 4, 4])
    wave = Ramp(start=1, end=0, shape="cosine")
    assert [wave.at(share) for share in (0, 1 / 3, 0.5, 1)] == pytest.approx([1, 0.75, 0.5, 0])


@given(st.floats(0, 1), st.floats(0, 10), st.floats(0, 10), st.sampled_from(["linear", "cosine"]))
def test_a_ramp_stays_between_its_ends(share, start, end, shape):
    value = Ramp(start=start, end=end, begin=0.1, until=0.9, shape=shape).at(share)
    assert min(start, end) - 1e-9 <= value <= max(start, end) + 1e-9


def test_ramps_and_phases_that_cannot_be():
    with pytest.raises(ValidationError, match="must lie before"):
        Ramp(start=0, end=1, begin=0.5, until=0.5)
    with pytest.raises(ValidationError, match=r"add up to 0\.7; they must add up to 1"):
        TrainSection(steps=1, phases=[{"share": 0.7}])
    with pytest.raises(ValidationError):
        SchedulesSection(ema={"start": 0.9, "end": 1.0})


def test_phases_by_hand():
    """GLCIC's: 18 % generator, 2 % discriminator, then both; of 50 steps 9, 1 and 40."""
    shares = {"generator": 0.18, "discriminator": 0.02, "both": 0.8}
    run = pace(50, phases=[PhaseSection(share=share, players=who) for who, share in shares.items()])
    assert [step for step in range(50) if run.trains("generator", step)] == [*range(9), *range(10, 50)]
    assert [step for step in range(50) if run.trains("discriminator", step)] == [*range(9, 50)]
    assert [step for step in range(50) if run.plays(step)] == [*range(10, 50)]


def test_a_phase_too_short_for_a_step_is_told():
    phases = [{"players": "generator", "share": 0.04}, {"players": "both", "share": 0.96}]
    assert list(pace(10, phases=phases).empty_phases()) == [(0, "generator")]
    assert list(pace(100, phases=phases).empty_phases()) == []


def test_without_phases_both_play():
    assert all(pace().trains(player, 3) for player in ("generator", "discriminator")) and pace().plays(0)


def test_a_lazy_penalty_has_the_same_mean_strength():
    run = pace(16, discriminator_updates=2)
    taken = [run.penalty(step, number, 4) for step in range(16) for number in range(2)]
    assert taken[:5] == [4, 0, 0, 0, 4] and sum(taken) / len(taken) == 1
    fading = pace(10, schedules={"penalty": {"start": 1, "end": 0}})
    assert [fading.penalty(step, 0, 1) for step in (0, 5)] == [1, 0.5]


def test_rates_reach_the_optimiser():
    train = {"learning_rate": {"start": 1, "end": 0}, "beta2": {"start": 0.9, "end": 0.99}}
    run = pace(10, generator_optimizer={"kind": "adam", "lr": 0.1, "betas": [0.5, 0.7]}, schedules=train)
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=7.0)
    run.set_rates(optimizer, run.train.generator_optimizer, 5)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert optimizer.param_groups[0]["betas"] == pytest.approx((0.5, 0.945))
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=7.0)
    plain = pace(10, discriminator_optimizer={"kind": "sgd", "lr": 0.5}, schedules=train)
    plain.set_rates(sgd, plain.train.discriminator_optimizer, 5)
    assert sgd.param_groups[0]["lr"] == pytest.approx(0.25)


def test_what_is_not_scheduled_stays():
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=7.0, betas=(0.1, 0.2))
    pace().set_rates(optimizer, pace().train.generator_optimizer, 5)
    assert optimizer.param_groups[0]["lr"] == 7.0 and optimizer.param_groups[0]["betas"] == (0.1, 0.2)
    assert pace(ema_decay=0.7).ema_decay(3) == 0.7
    assert pace(schedules={"ema": {"start": 0.5, "end": 0.9}}).ema_decay(5) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("players", "still"), [("generator", "discriminator"), ("discriminator", "generator")]
)
def test_in_a_phase_of_one_the_other_does_not_move(engine, tiny, tmp_path, players, still):
    phases = [{"share": 0.5, "players": players}, {"share": 0.5}]
    recipe = tiny(train={"steps": 4, "phases": phases, "checkpoints": {"every": 1, "keep": 9}}) | GAME
    folder = engine.run(recipe, out=tmp_path).folder
    assert not _moved(folder, still, 1, 2) and _moved(folder, players, 1, 2)
    assert _moved(folder, still, 2, 4) and _moved(folder, players, 2, 4)


def weights(folder, player, step):
    return load_file(folder / f"checkpoints/step-{step:07d}/{player}.safetensors")


def _moved(folder, player, one, other):
    first, second = (weights(folder, player, step) for step in (one, other))
    return any(not torch.equal(first[name], second[name]) for name in first)


def test_schedules_and_lazy_penalties_resume_to_the_bit(engine, tiny, tmp_path):
    schedules = {
        "learning_rate": {"start": 1, "end": 0.1, "shape": "cosine"},
        "beta2": {"start": 0.9, "end": 0.99},
        "penalty": {"start": 1, "end": 0.5},
        "ema": {"start": 0.5, "end": 0.9},
    }
    recipe = tiny(train={"steps": 4, "schedules": schedules, "checkpoints": {"every": 1, "keep": 9}}) | GAME
    whole = engine.run(recipe, out=tmp_path / "whole").folder
    part = engine.run(recipe, out=tmp_path / "part").folder
    engine.resume(part, checkpoint="step-0000001")
    for player in ("generator", "discriminator", "average"):
        first, second = weights(whole, player, 4), weights(part, player, 4)
        assert first and all(torch.equal(first[name], second[name]) for name in first)


def test_a_penalty_is_logged_where_it_was_taken(engine, tiny, tmp_path):
    seen = []

    class Watch:
        @hookimpl
        def on_step_end(self, report):
            seen.append("discriminator/r1" in report.terms())

    engine.run(tiny(train={"steps": 4}) | GAME, out=tmp_path, callbacks=[Watch()])
    assert seen == [True, False, True, False]
