"""Each picture is measured once, by a theta of its own, and nothing but training changes a run's state."""

from __future__ import annotations

from typing import Any

import engine_fakes as fakes
import pytest
import torch
from leavings import DEAD, left_by
from torch import Tensor

from ambientkit import Context, Engine, Evaluated, Measured, data
from ambientkit.assembly import prepare_data
from ambientkit.data import Source, StoredSamples
from ambientkit.sensor_check import PICTURES
from ambientkit.updates import discriminator_update, generator_update

# Theta is the picture's own ---------------------------------------------------------------------


def stored(engine, recipe, cache) -> dict[str, Measured]:
    """Each stored measurement by its key."""
    plan = engine.load(recipe)
    found, _ = prepare_data(plan, cache)
    dataset = plan.source.build(Context(image_size=plan.recipe.data.image_size))
    training, _ = data.split(dataset.keys, plan.recipe.data.holdout)
    every = found.samples.batch(torch.arange(len(training)), 0)
    return {dataset.keys[i]: Measured(every.y[n], every.observed[n]) for n, i in enumerate(training)}


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"source": {"backwards": True}}},
        {"data": {"source": {"count": 20, "shift": 3}}},
        {"train": {"batch_size": 2}},
        {"seed": 5},
        {"data": {"holdout": 5}},
    ],
    ids=["order", "other pictures", "batch size", "seed", "holdout"],
)
def test_theta_of_a_picture_depends_on_nothing_else(engine, tmp_path, change):
    one = stored(engine, fakes.numbers(fakes.BLOCK), tmp_path / "one")
    if "source" in change.get("data", {}):
        change = {"data": {"source": {**fakes.NUMBERS, **change["data"]["source"]}}}
    other = stored(engine, fakes.numbers(fakes.BLOCK, **change), tmp_path / "other")
    common = one.keys() & other.keys()
    assert len(common) >= 15
    for key in common:
        assert torch.equal(one[key].y, other[key].y)
        assert torch.equal(one[key].observed, other[key].observed)


def test_theta_does_not_depend_on_the_chunk(engine, tmp_path, monkeypatch):
    one = stored(engine, fakes.numbers(fakes.BLOCK), tmp_path / "one")
    monkeypatch.setattr(data, "CHUNK", 3)
    other = stored(engine, fakes.numbers(fakes.BLOCK), tmp_path / "other")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key].y, other[key].y) for key in one)


def test_the_same_measurement_is_read_in_every_epoch(ready, tiny):
    prepared = ready(tiny(train={"steps": 20}))
    first: dict[int, Tensor] = {}
    for counter in range(3 * prepared.prepared.batches.per_epoch):
        batch = prepared.prepared.batches(counter)
        for index, y in zip(prepared.prepared.batches.indices(counter).tolist(), batch.y, strict=True):
            assert torch.equal(first.setdefault(index, y), y)
    assert len(first) == 32


def test_two_runs_share_a_store_and_another_data_seed_makes_another(engine, tmp_path):
    fakes.calls["measure"] = 0
    prepare_data(engine.load(fakes.noisy()), tmp_path)
    (one,) = (tmp_path / "stores").iterdir()
    count = fakes.calls["measure"]
    written = (one / "y.npy").stat().st_mtime_ns
    prepare_data(engine.load(fakes.noisy(seed=9, train={"batch_size": 2})), tmp_path)
    tried, compared = 2 * PICTURES, 4
    assert fakes.calls["measure"] == count + tried + compared, "none is kept anew"
    assert (one / "y.npy").stat().st_mtime_ns == written
    prepare_data(engine.load(fakes.noisy(data={"seed": 1})), tmp_path)
    assert fakes.calls["measure"] == 2 * count + tried + compared
    assert len(list((tmp_path / "stores").iterdir())) == 2
    prepare_data(engine.load(fakes.noisy(data={"holdout": 3})), tmp_path)
    assert len(list((tmp_path / "stores").iterdir())) == 3


CELL = """
import torch
from ambientkit import Component, Measurement, Options, hookimpl

class GainOptions(Options):
    \"\"\"A gain.\"\"\"

class Gain(Measurement):
    def sample(self, n, image_shape, generator):
        return {{"none": torch.zeros(n, 0)}}

    def measure(self, images, theta):
        return {gain} * images

class Plugin:
    AMBIENTKIT_HOOK_API = 1
    namespace = "cell"

    @hookimpl
    def register_measurements(self):
        yield Component("gain", GainOptions, lambda options, context: Gain())
"""


def test_a_sensor_that_is_typed_anew_measures_anew(tiny, tmp_path, caplog):
    """Of a class in a notebook there is no file whose change would tell."""

    def store_with(gain: float) -> Tensor:
        cell: dict[str, Any] = {"__name__": "__main__"}
        exec(CELL.format(gain=gain), cell)
        engine = Engine(plugins=[fakes, cell["Plugin"]()], discover=False)
        bare = {
            "generator": {"kind": "fakes/net"},
            "composite": False,
            "discriminator": None,
            "objective": None,
        }
        recipe = tiny(**bare, measurement={"kind": "cell/gain"}, fidelity=[{"kind": "fakes/pull"}])
        return prepare_data(engine.load(recipe), tmp_path)[0].samples.batch(torch.arange(4), 0).y

    first, again, other = store_with(0.5), store_with(0.5), store_with(0.25)
    assert torch.equal(first, again) and torch.allclose(other, first / 2)
    assert caplog.text.count("all are measured anew") == 1
    assert torch.equal(store_with(0.5), first) and torch.equal(store_with(0.25), other)
    assert len(list((tmp_path / "stores").iterdir())) == 2, "neither takes the other's away"


def test_pictures_that_an_options_change_makes_others_are_measured_anew(
    engine, tmp_path, monkeypatch, caplog
):
    """Though the data set's fingerprint forgets the option."""
    prepare_data(engine.load(fakes.noisy()), tmp_path)
    monkeypatch.setattr(fakes.Numbers, "value_range", (0.0, 2.0))
    prepare_data(engine.load(fakes.noisy()), tmp_path)
    assert caplog.text.count("all are measured anew") == 1


def test_a_crash_while_measuring_leaves_nothing_half_made(engine, tiny, tmp_path, monkeypatch):
    measure = Source.measure

    def power_cut(self, indices):
        if indices[0] > 8:
            raise KeyboardInterrupt
        return measure(self, indices)

    monkeypatch.setattr(data, "CHUNK", 8)
    with monkeypatch.context() as patch:
        patch.setattr(Source, "measure", power_cut)
        with pytest.raises(KeyboardInterrupt):
            prepare_data(engine.load(tiny()), tmp_path)
    assert list((tmp_path / "stores").iterdir()) == []
    found, _ = prepare_data(engine.load(tiny()), tmp_path)
    assert len(found.samples) == 32


def test_what_a_killed_process_left_is_not_taken_for_a_store(engine, tiny, tmp_path, monkeypatch):
    prepare_data(engine.load(tiny()), tmp_path)
    (whole,) = (tmp_path / "stores").iterdir()
    half = left_by(DEAD, whole)
    whole.rename(half)
    (half / "meta.json").unlink()
    prepare_data(engine.load(tiny()), tmp_path)
    assert [path.name for path in (tmp_path / "stores").iterdir()] == [whole.name]


@pytest.mark.parametrize("section", ["further", "evaluation"])
def test_holes_that_hold_something_else_than_the_sensors_are_told(engine, tiny, tmp_path, caplog, section):
    """A network that reads them would learn to fill holes that it never meets."""
    for fill, times in ((1.0, 0), (-1.0, 1)):
        recipe = tiny(**{section: {"measurement": {"kind": "block_patch", "size": 6, "fill": fill}}})
        fakes.make_ready(engine, recipe, tmp_path)
        assert (
            caplog.text.count(f"{section}.measurement: its hidden pixels hold -1, those of the sensor 1")
            == times
        )


# Held-out pictures ------------------------------------------------------------------------------


def test_held_out_pictures_are_never_in_training():
    keys = [f"{i}.png" for i in range(50)]
    for holdout in (0, 7, data.HoldoutRule(one_in=5), data.HoldoutRule(one_in=5, first=2)):
        training, held = data.split(keys, holdout)
        assert not set(training) & set(held)
        if isinstance(holdout, data.HoldoutRule):
            everything = data.split(keys, data.HoldoutRule(one_in=5))[1]
            assert not set(training) & set(everything), "those that `first` leaves out are not trained on"


def test_holes_of_held_out_pictures_depend_on_data_seed_and_their_sensor_alone(engine, tmp_path):
    def held(**changes):
        found, _ = prepare_data(engine.load(fakes.numbers(fakes.BLOCK, **changes)), tmp_path)
        return found.held_out.samples.batch(torch.arange(4), 0).observed

    base = {"data": {"holdout": 4}}
    first = held(**base)
    assert torch.equal(first, held(**base, seed=3, train={"batch_size": 2}, generator={"kind": "fakes/net"}))
    assert torch.equal(first, held(**base, further=fakes.FURTHER))
    assert not torch.equal(first, held(data={"holdout": 4, "seed": 1}))
    named = held(**base, evaluation={"measurement": {"kind": "block_patch", "size": 3}})
    assert (~named).sum() == 4 * 9


# What stays as it was ---------------------------------------------------------------------------


def test_only_the_updated_network_changes_and_no_gradient_stays(ready, tiny):
    trainer = ready(tiny(fidelity=[{"kind": "held_out"}], further=fakes.FURTHER)).trainer
    game = trainer.game
    players = {"generator": game.generator.network, "discriminator": game.discriminator.network}
    for name, update in (("discriminator", discriminator_update), ("generator", generator_update)):
        before = {player: [p.clone() for p in net.parameters()] for player, net in players.items()}
        update(game, trainer._batch(0), trainer.dice(0, name, 0))
        for player, network in players.items():
            moved = [
                not torch.equal(*pair) for pair in zip(before[player], network.parameters(), strict=True)
            ]
            assert len(moved) > 5
            assert any(moved) == (player == name), f"{player} in the {name}'s update"
            assert all(weight.grad is None for weight in network.parameters())
            assert all(weight.requires_grad for weight in network.parameters())


def test_a_pretrained_part_of_the_discriminator_stays_frozen(ready, tiny):
    trainer = ready(tiny(discriminator={"kind": "fakes/critic", "frozen_part": True})).trainer
    trainer.train_step()
    assert not trainer.game.discriminator.network.pretrained.requires_grad


@pytest.mark.parametrize("decay", [0.9, None])
def test_evaluation_and_samples_leave_no_trace(ready, tiny, decay):
    recipe = tiny(further=fakes.FURTHER, metrics=[{"kind": "fakes/error"}], train={"ema_decay": decay})
    trainer = ready(recipe).trainer
    trainer.train_step()
    networks = trainer._networks()
    before = {name: fakes.weights(network) for name, network in networks.items()}
    modes = {name: [m.training for m in network.modules()] for name, network in networks.items()}
    state = torch.get_rng_state()
    trainer._evaluate(trainer.metrics)
    assert isinstance(trainer.samples(3), Evaluated)
    assert torch.equal(state, torch.get_rng_state())
    for name, network in networks.items():
        assert fakes.same(before[name], fakes.weights(network)), name
        assert modes[name] == [m.training for m in network.modules()], name
    assert len(trainer.samples(3).y) == 3


def test_building_and_training_leave_the_global_random_state_alone(ready, tiny):
    state = torch.get_rng_state()
    trainer = ready(tiny()).trainer
    trainer.train_step()
    assert torch.equal(state, torch.get_rng_state())


def test_weights_depend_on_the_seed_alone(ready, tiny):
    one = fakes.weights(ready(tiny()).prepared.game.generator.network)
    torch.rand(7)
    assert fakes.same(
        one, fakes.weights(ready(tiny(train={"batch_size": 2})).prepared.game.generator.network)
    )
    assert not fakes.same(one, fakes.weights(ready(tiny(seed=1)).prepared.game.generator.network))


# Measured anew: the dishonest way, labelled -----------------------------------------------------


def test_measure_fresh_is_labelled_everywhere(engine, tiny, tmp_path):
    result = engine.run(tiny(data={"measure": "fresh"}), out=tmp_path / "runs", device="cpu")
    assert "not learning from incomplete data" in result.labels[0]
    assert "not learning from incomplete data" in (result.folder / "run.json").read_text("utf-8")
    honest = engine.run(tiny(), out=tmp_path / "runs", device="cpu")
    assert honest.labels == ()


def test_measure_fresh_draws_anew_and_repeatably(ready, tiny):
    batches = ready(tiny(data={"measure": "fresh"})).prepared.batches
    epoch = batches.per_epoch
    where = {index: n for n, index in enumerate(batches.indices(0).tolist())}
    for counter in range(epoch, 2 * epoch):
        for n, index in enumerate(batches.indices(counter).tolist()):
            if index in where:
                assert not torch.equal(batches(0).observed[where[index]], batches(counter).observed[n])
    assert torch.equal(batches(3).y, batches(3).y)
    assert not isinstance(batches.samples, StoredSamples)
