"""The two updates: parts of a batch, clipping, terms, and what is not finite."""

from __future__ import annotations

from dataclasses import fields

import engine_fakes as fakes
import pytest
import torch

from ambientkit.errors import NonFiniteError
from ambientkit.finite import FiniteWatch
from ambientkit.group import part_of
from ambientkit.updates import detached, discriminator_update, generator_update, shared_update

pytestmark = pytest.mark.smoke

SGD = {
    "generator_optimizer": {"kind": "sgd", "lr": 1.0},
    "discriminator_optimizer": {"kind": "sgd", "lr": 1.0},
}


def game_of(**changes):
    """A game without batch norm, whose every picture weighs the same."""
    return fakes.tiny(
        generator={"kind": "fakes/net"},
        discriminator={"kind": "fakes/critic"},
        fidelity=[{"kind": "fakes/pull", "weight": 3}],
        further=fakes.FURTHER,
        **changes,
    )


def after_one_step(ready, recipe) -> dict[str, torch.Tensor]:
    trainer = ready(recipe).trainer
    trainer.train_step()
    game = trainer.game
    return {**fakes.weights(game.generator.network), **fakes.weights(game.discriminator.network)}


def test_accumulated_parts_give_the_step_of_the_whole_batch(ready):
    whole = after_one_step(ready, game_of(train=SGD))
    parts = after_one_step(ready, game_of(train={**SGD, "accumulate": 4}))
    start = ready(game_of()).trainer.game
    before = {**fakes.weights(start.generator.network), **fakes.weights(start.discriminator.network)}
    assert len(whole) == 6
    for name, value in whole.items():
        assert not torch.equal(value, before[name])
        torch.testing.assert_close(value, parts[name], rtol=1e-4, atol=1e-6)


def test_parts_hold_the_whole_batch_in_order(ready):
    trainer = ready(game_of(train={"accumulate": 2})).trainer
    for whole in (trainer._batch(0), trainer.dice(0, "generator", 0)):
        parts = [part_of(whole, index, 2) for index in range(2)]
        for part in fields(whole):
            value = getattr(whole, part.name)
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, torch.cat([getattr(each, part.name) for each in parts]))
            elif value is not None:
                for name, tensor in value.items():
                    assert torch.equal(tensor, torch.cat([getattr(each, part.name)[name] for each in parts]))


def test_terms_have_names_and_weights(ready):
    trainer = ready(game_of()).trainer
    real, draws = trainer._batch(0), trainer.dice(0, "generator", 0)
    made = trainer.game.trip(real, draws).made
    assert discriminator_update(trainer.game, real, draws).keys() == {
        "discriminator/real",
        "discriminator/fake",
    }
    terms = generator_update(trainer.game, real, draws)
    assert terms.keys() == {"generator/adversarial", "generator/fakes/pull/pull"}
    assert float(terms["generator/fakes/pull/pull"]) == pytest.approx(
        3 * float(made.square().mean().detach())
    )
    assert all(not value.requires_grad for value in terms.values())


def test_without_a_game_the_discriminator_has_no_update(ready):
    trainer = ready(fakes.fidelity_only()).trainer
    assert discriminator_update(trainer.game, trainer._batch(0), trainer.dice(0, "discriminator", 0)) == {}
    assert trainer.train_step().keys() == {"generator/fakes/pull/pull"}


@pytest.mark.parametrize("limit", [1e-3, None])
def test_the_gradient_is_clipped_to_its_norm(ready, limit):
    trainer = ready(game_of(train={**SGD, "gradient_clip": limit})).trainer
    networks = {"g": trainer.game.generator.network, "d": trainer.game.discriminator.network}
    before = {name: fakes.weights(network) for name, network in networks.items()}
    trainer.train_step()
    for name, network in networks.items():
        after = fakes.weights(network)
        moved = sum((after[key] - before[name][key]).square().sum() for key in after).sqrt()
        assert (moved <= 1.001e-3) == (limit is not None)
        assert moved > 0.9e-3


def test_a_gradient_that_is_not_finite_is_named(ready, monkeypatch):
    trainer = ready(fakes.fidelity_only()).trainer
    infinite = lambda self, trip, restore, measure: {"pull": (trip.made * 0).abs().sqrt().sum()}  # noqa: E731
    monkeypatch.setattr(fakes.Pull, "terms", infinite)
    before = fakes.weights(trainer.game.generator.network)
    with pytest.raises(NonFiniteError, match="the gradient of Net became nan"):
        trainer.train_step()
    assert fakes.same(before, fakes.weights(trainer.game.generator.network)), "no step was taken"


def test_restore_and_measure_are_the_generator_and_the_sensor(ready):
    trainer = ready(fakes.fidelity_only(composite=False, fidelity=[{"kind": "fakes/consistency"}])).trainer
    before = fakes.weights(trainer.game.generator.network)
    terms = trainer.train_step()
    assert 0 < float(terms["generator/fakes/consistency/again"]) < 4
    assert not fakes.same(before, fakes.weights(trainer.game.generator.network))


def test_weights_are_clipped_after_the_discriminators_step(ready, tiny):
    recipe = tiny(
        discriminator={"kind": "fakes/critic"}, objective={"kind": "wgan_clip", "clip": 0.01}, train=SGD
    )
    trainer = ready(recipe).trainer
    trainer.train_step()
    assert trainer.game.discriminator.network.layer.weight.abs().max() <= 0.01


def spectral(ready):
    """A game whose discriminator has spectral norm, and the weights that each of its passes used."""
    recipe = game_of()
    recipe["discriminator"] = {"kind": "dcgan", "width": 2, "spectral_norm": True}
    trainer = ready(recipe).trainer
    network, used = trainer.game.discriminator.network, []
    network.layers[0].register_forward_pre_hook(lambda layer, _: used.append(layer.weight))
    return trainer, network, used


def test_spectral_norm_is_taken_once_an_update_and_alike_for_reals_and_fakes(ready):
    trainer, network, used = spectral(ready)
    norm = network.layers[0].parametrizations.weight[0]
    before = norm._u.clone()
    trainer.train_step()
    real, fake, adversarial = used
    assert real is fake and not torch.equal(real, adversarial)
    assert not torch.equal(norm._u, before)


def test_features_are_those_of_the_same_weights(ready):
    recipe = game_of()
    recipe["discriminator"] = {"kind": "dcgan", "width": 2, "spectral_norm": True}
    recipe["fidelity"] = [{"kind": "feature_matching"}]
    trainer, used = ready(recipe).trainer, []
    layers = trainer.game.discriminator.network.layers
    layers[0].register_forward_pre_hook(lambda layer, _: used.append(layer.weight))
    trainer.train_step()
    assert len(used) == 5 and len({id(weight) for weight in used}) == 2


def test_an_objective_that_first_asks_without_a_gradient_trains_all_the_same(ready, monkeypatch):
    trainer, network, _ = spectral(ready)
    objective = trainer.game.objective
    terms_of = objective.discriminator_terms

    def peeking(critic, real, fake):
        with torch.no_grad():
            critic(real)
        return terms_of(critic, real, fake)

    monkeypatch.setattr(objective, "discriminator_terms", peeking)
    before = fakes.weights(network)
    trainer.train_step()
    after = fakes.weights(network)
    names = [name for name in before if name.endswith("original")]
    assert names and all(not torch.equal(before[name], after[name]) for name in names)


def test_a_shared_pass_gives_the_terms_of_two(ready):
    """The same draws in both updates: what is shared is the generator's pass, and nothing else."""
    alone, both = ready(game_of()).trainer, ready(game_of()).trainer
    real, draws = alone._batch(0), alone.dice(0, "generator", 1)
    wanted = discriminator_update(alone.game, real, draws) | generator_update(alone.game, real, draws)
    found = shared_update(both.game, real, draws)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-7)
    for player in ("generator", "discriminator"):
        mine, theirs = (fakes.weights(getattr(game, player).network) for game in (alone.game, both.game))
        for name, value in mine.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-7)


def test_what_is_completed_first_in_a_shared_pass_is_so_with_the_same_weights(ready):
    recipe = game_of(train={"share_forward": True})
    recipe["further"] = {**fakes.FURTHER, "completed_first": True}
    trainer, used = ready(recipe).trainer, []
    generator = trainer.game.generator.network
    layer = next(each for each in generator.modules() if isinstance(each, torch.nn.Conv2d))
    torch.nn.utils.parametrizations.spectral_norm(layer)
    layer.register_forward_pre_hook(lambda layer, _: used.append(layer.weight))
    shared_update(trainer.game, trainer._batch(0), trainer.dice(0, "generator", 1))
    first, counts = used
    assert first is counts


def test_a_shared_step_runs_the_generator_once(ready):
    for share, passes in ((False, 2), (True, 1)):
        trainer = ready(game_of(train={"share_forward": share})).trainer
        calls = []
        trainer.game.generator.network.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        terms = trainer.train_step()
        assert len(calls) == passes
        assert {name.split("/")[0] for name in terms} == {"generator", "discriminator"}


def test_a_detached_trip_teaches_the_generator_nothing(ready):
    trainer = ready(game_of()).trainer
    trip = trainer.game.trip(trainer._batch(0), trainer.dice(0, "generator", 1))
    assert trip.y_fake.requires_grad
    bare = detached(trip)
    assert not any(each.requires_grad for each in (bare.made, bare.completed, bare.y_fake))
    assert torch.equal(bare.y_fake, trip.y_fake)


def test_a_deferred_watch_waits_until_it_is_asked():
    watch = FiniteWatch(deferred=True)
    nan = torch.tensor(float("nan"))
    for step, (a, b) in enumerate([(1.0, 2.0), (1.0, nan), (nan, nan), (1.0, 2.0)], start=1):
        watch.step = step
        watch.look("the term 'a'", torch.as_tensor(a))
        watch.look("the term 'b'", torch.as_tensor(b))
    with pytest.raises(NonFiniteError, match=r"^the term 'b' became no finite number"):
        watch.settle()
    assert watch.first_step == 2, "the first at which anything went wrong"
    watch.settle()  # said once
    with pytest.raises(NonFiniteError, match="became inf"):
        FiniteWatch().look("the term 'c'", torch.tensor(float("inf")))


def test_a_run_is_not_kept_with_numbers_that_are_not_finite(ready):
    trainer = ready(game_of()).trainer
    trainer.game.watch = FiniteWatch(deferred=True)
    trainer.game.watch.step = 1
    trainer.game.watch.look("the gradient of Net", torch.tensor(float("nan")))
    with pytest.raises(NonFiniteError, match="the gradient of Net"):
        trainer.checkpoint()
    assert not (trainer.folder / "checkpoints").exists()
