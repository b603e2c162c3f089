"""What the method promises: fakes have the law of reals, and no clean pixel reaches training."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import engine_fakes as fakes
import numpy as np
import pytest
import torch
from torch import Tensor

from ambientkit import Context, Measured, data
from ambientkit.assembly import prepare_data
from ambientkit.data import sample_by_key
from ambientkit.interfaces import View
from ambientkit.levels import to_float
from ambientkit.round_trip import Draws, Method, composited, round_trip, views


def real_batch(ready: fakes.Ready, counter: int = 0) -> Measured:
    return ready.trainer._batch(counter)


def clean_of(ready: fakes.Ready, engine, recipe, counter: int = 0) -> tuple[Tensor, list[str], Any]:
    """(clean pictures, keys, sensor) of a batch, which only a test can look up."""
    plan = engine.load(recipe)
    dataset = plan.source.build(Context(image_size=plan.recipe.data.image_size))
    training, _ = data.split(dataset.keys, plan.recipe.data.holdout)
    chosen = [training[i] for i in ready.prepared.batches.indices(counter).tolist()]
    images = to_float(dataset.images(chosen), dataset.value_range)
    return images, [dataset.keys[i] for i in chosen], ready.prepared.game.method.sensor


# The adversarial signal -------------------------------------------------------------------------


def test_made_pixels_get_a_gradient_where_the_fresh_theta_shows_them(ready, tiny):
    trainer = ready(tiny()).trainer
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    hidden = ~real.observed.expand_as(real.y)
    made = torch.zeros_like(real.y).requires_grad_()
    trip = round_trip(trainer.game.method, lambda measured, latent: made, real, draws)
    critic = trainer.game.discriminator.network
    critic(views(real, trip, draws)[1]).sum().backward()
    shown = hidden & trip.observed_fake
    assert shown.any()
    assert made.grad[shown].abs().min() > 0
    assert (made.grad[~shown] == 0).all(), "what is composited away or hidden again moves nothing"


def test_every_hidden_pixel_is_shown_by_some_fresh_theta(ready, tiny):
    trainer = ready(tiny()).trainer
    real = trainer._batch(0)
    shown = torch.zeros_like(real.observed)
    for step in range(20):
        theta = trainer.dice(step, "generator", 0).theta_fresh
        shown |= trainer.game.method.sensor.observed(theta, trainer.game.method.image_shape)
    assert shown[~real.observed].all()


def test_copying_the_input_can_be_told_from_the_real(ready, tiny):
    """The identity leaves the block's fill where theta' shows it; no real measurement looks like that."""
    trainer = ready(tiny(measurement={"fill": 0.123})).trainer
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    trip = round_trip(trainer.game.method, lambda measured, latent: measured.y, real, draws)
    given_away = (trip.y_fake == 0.123).all(1, keepdim=True) & trip.observed_fake
    assert given_away.flatten(1).any(1).all()
    assert not ((real.y == 0.123).all(1, keepdim=True) & real.observed).any()


def test_as_many_fakes_as_reals_with_different_latents_and_thetas(ready, tiny):
    recipe = tiny(generator={"kind": "glcic", "width": 4, "latent_channels": 1})
    trainer = ready(recipe).trainer
    real = trainer._batch(0)
    seen: list[Draws] = [trainer.dice(step, player, 0) for step in (0, 1) for player in ("g", "d")]
    latents = torch.cat([each for d in seen for each in (d.latent, d.latent_other, d.latent_first)])
    assert len({tuple(latent.flatten().tolist()) for latent in latents}) == len(latents) == 48
    corners = torch.cat([draws.theta_fresh["corner"] for draws in seen]).flatten(1)
    assert len(corners.unique(dim=0)) > 10
    trip = trainer.game.trip(real, seen[0])
    assert trip.y_fake.shape == real.y.shape


# Real and fake have one law ---------------------------------------------------------------------


def test_the_corners_of_reals_and_fakes_have_one_distribution(engine, ready, tiny):
    trainer = ready(tiny()).trainer
    sensor, shape = trainer.game.method.sensor, (3, 16, 16)
    stored = sample_by_key(sensor, shape, 0, "measure", [f"{i}.png" for i in range(2000)])["corner"]
    trainer.dice = replace(trainer.dice, n=2000)
    fresh = trainer.dice(0, "generator", 0).theta_fresh["corner"]
    for axis in (0, 1):
        counts = [np.bincount(corner[:, 0, axis].numpy(), minlength=11) for corner in (stored, fresh)]
        assert all(len(count) == 11 and count.min() > 0 for count in counts), "every offset is drawn"
        spread = ((counts[0] - counts[1]) ** 2 / (counts[0] + counts[1])).sum()
        assert spread < 29.6, "chi-squared, 10 degrees of freedom, p = 0.001"


def test_a_noisy_sensor_puts_noise_into_reals_and_fakes_alike(engine, ready):
    trainer = ready(fakes.noisy()).trainer
    real, draws = trainer._batch(0), trainer.dice(0, "discriminator", 0)
    flat = torch.zeros_like(real.y)
    trip = round_trip(trainer.game.method, lambda measured, latent: flat, real, draws)
    assert trip.y_fake.std() == pytest.approx(0.3, rel=0.1)
    images, _, _ = clean_of(ready(fakes.noisy()), engine, fakes.noisy())
    noise = real.y - real.known["gain"] * images
    assert noise.std() == pytest.approx(0.3, rel=0.1)
    assert not torch.equal(noise, draws.theta_fresh["noise"])


@pytest.mark.parametrize(
    "recipe",
    [
        fakes.tiny(),
        fakes.tiny(measurement={"fill": 0.0}),  # 127.5 in 8 bits
        fakes.tiny(measurement={"kind": "fakes/half", "fill": 0.3}),
        fakes.numbers(fakes.BLOCK),
        fakes.noisy(),
        fakes.numbers({"kind": "fakes/rare"}),
    ],
    ids=["8 bits", "fill 0", "known", "floats", "noise", "no fill"],
)
def test_real_and_fake_of_the_same_picture_and_theta_are_equal_to_the_bit(engine, ready, recipe):
    """At the discriminator's door: the real from the store, the fake measured from the same picture."""
    prepared = ready(recipe)
    real = real_batch(prepared)
    images, keys, sensor = clean_of(prepared, engine, recipe)
    theta = sample_by_key(sensor, tuple(images.shape[1:]), 0, "measure", keys)
    method = prepared.prepared.game.method
    draws = Draws(theta_fresh=theta)
    trip = round_trip(
        Method(sensor, None, False, method.image_shape), lambda measured, latent: images, real, draws
    )
    one, other = views(real, trip, draws)
    assert torch.equal(one.y, other.y)
    assert one.y.dtype == other.y.dtype == torch.float32
    for name in ("observed", "known"):
        assert fakes.same(getattr(one, name), getattr(other, name)), name


def test_a_store_is_of_8_bits_only_where_every_value_survives(ready):
    def dtype(recipe):
        return ready(recipe).prepared.batches.samples.store.arrays["y"].dtype

    assert dtype(fakes.tiny(measurement={"fill": 0.0})) == np.uint8
    assert dtype(fakes.tiny(measurement={"kind": "identity"})) == np.uint8
    assert dtype(fakes.tiny(measurement={"kind": "fakes/rare"})) == np.float32, "hidden pixels hold values"
    assert dtype(fakes.numbers(fakes.BLOCK)) == np.float32


def test_the_region_of_reals_is_independent_of_their_own_hole_and_has_the_law_of_the_fakes(ready, tiny):
    trainer = ready(tiny(further={**fakes.FURTHER, "probability": 0.5})).trainer
    trainer.dice = replace(trainer.dice, n=400)
    draws = trainer.dice(0, "discriminator", 0)
    one_hole = draws.region.sum((1, 2, 3)) == 36
    # 0.5 of the pictures have one hole; of the others' pairs, 1 in 121 coincide.
    assert 0.4 < one_hole.float().mean() < 0.6
    own = ~trainer._batch(0).observed.all(1, keepdim=True)
    assert not torch.equal(draws.region[:4], own)
    again = trainer.dice(0, "discriminator", 0).region
    assert torch.equal(draws.region, again), "it depends on no batch"


def test_completed_first_the_region_of_reals_has_one_hole_as_that_of_the_fakes(ready, tiny):
    trainer = ready(tiny(further={**fakes.FURTHER, "probability": 0.5, "completed_first": True})).trainer
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    _, fake = views(real, trainer.game.trip(real, draws), draws)
    assert (draws.region.sum((1, 2, 3)) == 36).all() and (fake.region.sum((1, 2, 3)) == 36).all()


def test_without_chance_of_a_further_hole_no_region_has_one(ready, tiny):
    trainer = ready(tiny(further={**fakes.FURTHER, "probability": 0.0})).trainer
    draws = trainer.dice(0, "discriminator", 0)
    assert (draws.region.sum((1, 2, 3)) == 36).all()
    assert not draws.further_chosen.any()


def test_the_fakes_region_is_what_was_made(ready, tiny):
    trainer = ready(tiny(further={**fakes.FURTHER, "probability": 1.0})).trainer
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    trip = trainer.game.trip(real, draws)
    _, fake = views(real, trip, draws)
    assert torch.equal(fake.region, (trip.made == trip.completed).all(1, keepdim=True))


def test_compositing_copies_only_what_the_generator_saw(ready, tiny):
    """With `observed` in place of `observed~` the target of held_out would be copied, and its loss be 0."""
    trainer = ready(tiny(further={**fakes.FURTHER, "probability": 1.0})).trainer
    trip = trainer.game.trip(trainer._batch(0), trainer.dice(0, "generator", 0))
    target = (trip.observed & ~trip.observed_further).expand_as(trip.y)
    assert target.any()
    assert torch.equal(trip.completed[target], trip.made[target])
    assert not torch.equal(trip.completed[target], trip.y[target])
    seen = trip.observed_further.expand_as(trip.y)
    assert torch.equal(trip.completed[seen], trip.y[seen])


# No clean pixel and no nuisance -----------------------------------------------------------------


def test_hidden_pixels_are_zero_in_the_file(engine, tiny, tmp_path):
    plan = engine.load(tiny())
    prepare_data(plan, tmp_path)
    (folder,) = (tmp_path / "stores").iterdir()
    y = np.load(folder / "y.npy")
    observed = np.unpackbits(np.load(folder / "observed.npy"), axis=-1, count=16).astype(bool)
    assert observed.shape == (32, 1, 16, 16)
    assert (~observed).sum() == 32 * 36
    assert (y[np.broadcast_to(~observed, y.shape)] == 0).all()
    assert y[np.broadcast_to(observed, y.shape)].any()
    assert {path.name for path in folder.iterdir()} == {"y.npy", "observed.npy", "meta.json"}


@pytest.mark.parametrize("as_float", [True, False])
def test_what_arrives_measured_loses_what_it_holds_in_hidden_pixels(engine, tmp_path, as_float):
    source = {"kind": "fakes/arrived", "as_float": as_float}
    plan = engine.load(fakes.numbers({"kind": "masks_of_data", "fill": -1.0}, data={"source": source}))
    found, _ = prepare_data(plan, tmp_path)
    (folder,) = (tmp_path / "stores").iterdir()
    secret = 0.77 if as_float else round(1.77 * 127.5)
    assert not np.isclose(np.load(folder / "y.npy"), secret).any()
    batch = found.samples.batch(torch.arange(8), 0)
    assert (batch.y[~batch.observed] == -1.0).all()


def tensors(value: Any) -> list[Tensor]:
    """Every tensor in arguments of networks and plugins."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for item in value.values() for t in tensors(item)]
    if isinstance(value, list | tuple):
        return [t for item in value for t in tensors(item)]
    if is_dataclass(value):
        return [t for part in fields(value) for t in tensors(getattr(value, part.name))]
    return []


def recorded_step(ready: fakes.Ready) -> tuple[list[Tensor], list[Any]]:
    """Every tensor (and argument) that reached a network or a fidelity in a step of training."""
    game, arguments = ready.prepared.game, []
    for player in filter(None, (game.generator, game.discriminator)):
        player.network.register_forward_pre_hook(lambda module, args: arguments.append(args))
    for number, (name, weight, fidelity) in enumerate(game.fidelities):
        game.fidelities[number] = (name, weight, Recorder(fidelity, arguments))
    ready.trainer.train_step()
    return tensors(arguments), arguments


class Recorder:
    def __init__(self, fidelity, arguments) -> None:
        self.fidelity, self.arguments = fidelity, arguments

    def terms(self, trip, restore, measure):
        self.arguments.append((trip,))
        return self.fidelity.terms(trip, restore, measure)


def test_no_network_and_no_fidelity_is_given_a_hidden_pixel(engine, ready, tiny):
    recipe = tiny(further=fakes.FURTHER, fidelity=[{"kind": "held_out"}])
    prepared = ready(recipe)
    images, _, _ = clean_of(prepared, engine, recipe)
    real = real_batch(prepared)
    seen, arguments = recorded_step(prepared)
    assert len(arguments) == 1 + 2 + 1 + 1 + 1, "made, real and fake, made, fake, fidelity"
    hidden = ~real.observed.expand_as(images) & (images != 1.0)
    assert hidden.sum() > 100
    pictures = [tensor for tensor in seen if tensor.shape == images.shape and tensor.is_floating_point()]
    assert len(pictures) > 8
    for tensor in pictures:
        assert (tensor[hidden] == images[hidden]).float().mean() < 0.02


def test_noise_reaches_nobody_and_what_is_known_reaches_all(engine, ready):
    recipe = fakes.noisy(fidelity=[{"kind": "fakes/consistency"}])
    prepared = ready(recipe)
    images, keys, sensor = clean_of(prepared, engine, recipe)
    theta = sample_by_key(sensor, tuple(images.shape[1:]), 0, "measure", keys)
    seen, arguments = recorded_step(prepared)
    same_shape = [tensor for tensor in seen if tensor.shape == images.shape]
    assert len(same_shape) > 4
    for tensor in same_shape:
        assert not torch.isclose(tensor, theta["noise"]).float().mean() > 0.01
        assert not torch.isclose(tensor, images).float().mean() > 0.01
    shown = [item for call in arguments for item in call if isinstance(item, Measured | View)]
    assert len(shown) >= 5
    assert all(item.known is None or item.known.keys() == {"gain"} for item in shown)
    assert any(item.known is not None and fakes.same(item.known["gain"], theta["gain"]) for item in shown)


def test_the_store_of_a_noisy_sensor_holds_the_gain_and_no_noise(engine, tmp_path):
    prepare_data(engine.load(fakes.noisy()), tmp_path)
    (folder,) = (tmp_path / "stores").iterdir()
    assert {path.name for path in folder.iterdir()} == {"y.npy", "known.gain.npy", "meta.json"}


def test_composited_keeps_observed_pixels_to_the_bit_even_beside_nan():
    y = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 1, 2, 2)
    seen = torch.tensor([True, False, True, False]).view(1, 1, 2, 2)
    made = torch.full_like(y, float("nan"))
    method = Method(None, None, True, (1, 2, 2))  # type: ignore[arg-type]
    completed = composited(method, made, Measured(y, seen))
    assert torch.equal(completed[seen], y[seen])
    assert completed[~seen].isnan().all()
