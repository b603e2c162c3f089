"""The two updates of the game. Each changes its own network and leaves no gradient behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ambientkit.finite import FiniteWatch
from ambientkit.group import part_of
from ambientkit.interfaces import Fidelity, Judged, Measured, Objective, RoundTrip, Terms, View
from ambientkit.machine import Machine, critic_of, features_of
from ambientkit.returned import terms_of, total_of
from ambientkit.round_trip import Draws, Method, composited, round_trip, views


@dataclass
class Player:
    """A network and how it is updated."""

    network: nn.Module
    optimizer: torch.optim.Optimizer


@dataclass
class Game:
    """Everything that an update needs, and nothing about logs, files or schedules."""

    method: Method
    machine: Machine
    generator: Player
    discriminator: Player | None = None
    objective: Objective | None = None
    fidelities: list[tuple[str, float, Fidelity]] = field(default_factory=list)
    gradient_clip: float | None = None
    accumulate: int = 1
    offers_features: bool = False  # whether the discriminator does
    watch: FiniteWatch = field(default_factory=FiniteWatch)

    def trip(self, real: Measured, draws: Draws) -> RoundTrip:
        """The round trip of a batch with the current generator."""
        return round_trip(self.method, partial(self.machine.run, self.generator.network), real, draws)


def discriminator_update(
    game: Game, real: Measured, draws: Draws, penalty: float = 1.0, trip: RoundTrip | None = None
) -> Terms:
    """One step of the discriminator on y against y^; the generator only makes the fakes.

    `penalty` is the factor of the objective's gradient penalties; 0: they are not taken. `trip` is the
    batch's round trip, where it was made already.
    """
    if game.discriminator is None or game.objective is None:
        return {}
    make_terms = partial(_discriminator_terms, penalty=penalty, trip=trip)
    terms = _descend(game, game.discriminator, real, draws, make_terms)
    with torch.no_grad():
        game.objective.after_discriminator_step(game.discriminator.network)
    return terms


def generator_update(
    game: Game, real: Measured, draws: Draws, plays: bool = True, trip: RoundTrip | None = None
) -> Terms:
    """One step of the generator; the discriminator's weights are frozen meanwhile, whatever uses it.

    Without `plays` it learns from its fidelities alone. `trip` is the batch's round trip with the
    generator as it is, where it was made already.
    """
    make_terms = partial(_generator_terms, plays=plays, trip=trip)
    if game.discriminator is None:
        return _descend(game, game.generator, real, draws, make_terms)
    with _frozen(game.discriminator.network):
        return _descend(game, game.generator, real, draws, make_terms)


def shared_update(
    game: Game, real: Measured, draws: Draws, penalty: float = 1.0, plays: bool = True
) -> Terms:
    """Both updates on one round trip: the generator's weights are the same in both, so its pass can be."""
    with _one_set_of_weights(game):
        trip = game.trip(real, draws)
    terms = discriminator_update(game, real, draws, penalty, detached(trip))
    return terms | generator_update(game, real, draws, plays, trip)


def detached(trip: RoundTrip) -> RoundTrip:
    """The same values, with no gradient to the generator."""
    made, completed, y_fake = (each.detach() for each in (trip.made, trip.completed, trip.y_fake))
    return replace(trip, made=made, completed=completed, y_fake=y_fake)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """No weight takes a gradient meanwhile; weights that never did (a pretrained part) do not afterwards."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


@contextmanager
def _one_set_of_weights(game: Game) -> Iterator[None]:
    """Weights that are computed (spectral norm: Miyato et al. 2018, alg. 1) are so once, for all views.

    That is done here and with a gradient, even where they are first asked for without one.
    """
    players = [game.generator, *([game.discriminator] if game.discriminator else [])]
    with parametrize.cached():
        with torch.enable_grad():
            for module in (each for player in players for each in player.network.modules()):
                for name in getattr(module, "parametrizations", ()):
                    getattr(module, name)
        yield


def _discriminator_terms(
    game: Game, real: Measured, draws: Draws, penalty: float, trip: RoundTrip | None
) -> Terms:
    assert game.discriminator and game.objective
    with torch.no_grad():
        trip = trip or game.trip(real, draws)
    sides = views(real, trip, draws)
    critic = critic_of(game.machine, game.discriminator.network)
    terms = terms_of(game.objective.discriminator_terms, critic, *sides)
    if penalty:
        penalties = terms_of(game.objective.penalty_terms, critic, *sides)
        terms = {**terms, **{name: penalty * value for name, value in penalties.items()}}
    return {f"discriminator/{name}": value for name, value in terms.items()}


def _generator_terms(game: Game, real: Measured, draws: Draws, plays: bool, trip: RoundTrip | None) -> Terms:
    trip = trip or game.trip(real, draws)
    sides = views(real, trip, draws)
    terms = _adversarial_terms(game, *sides) if plays else {}
    trip = replace(trip, judged=_judged(game, *sides), latent_other=draws.latent_other)
    restore = partial(_restore, game, draws)
    for name, weight, fidelity in game.fidelities:
        for term, value in terms_of(fidelity.terms, trip, restore, game.method.sensor.measure).items():
            terms[f"generator/{name}/{term}" if term != name else f"generator/{name}"] = weight * value
    return terms


def _judged(game: Game, real: View, fake: View) -> Judged | None:
    if game.discriminator is None or not game.offers_features:
        return None
    return Judged(real, fake, features_of(game.machine, game.discriminator.network))


def _adversarial_terms(game: Game, real: View, fake: View) -> Terms:
    if game.discriminator is None or game.objective is None:
        return {}
    critic = critic_of(game.machine, game.discriminator.network)
    terms = terms_of(game.objective.generator_terms, critic, real, fake)
    return {f"generator/{name}": value for name, value in terms.items()}


def _restore(game: Game, draws: Draws, measured: Measured, latent: Tensor | None = None) -> Tensor:
    latent = draws.latent if latent is None else latent
    made = game.machine.run(game.generator.network, measured, latent)
    return composited(game.method, made, measured)


def _descend(
    game: Game,
    player: Player,
    real: Measured,
    draws: Draws,
    make_terms: Callable[[Game, Measured, Draws], Terms],
) -> Terms:
    """Gradients of the summed terms, over `accumulate` parts of the batch, then one optimiser step."""
    player.optimizer.zero_grad(set_to_none=True)
    totals: Terms = {}
    for index in range(game.accumulate):
        part, part_draws = part_of(real, index, game.accumulate), part_of(draws, index, game.accumulate)
        with _one_set_of_weights(game):
            terms = make_terms(game, part, part_draws)
        (total_of(terms, player.network) / game.accumulate).backward()  # type: ignore[no-untyped-call]
        for name, value in terms.items():
            totals[name] = totals.get(name, torch.zeros_like(value)) + value.detach() / game.accumulate
    gradients = [weight.grad for weight in player.network.parameters() if weight.grad is not None]
    totals = game.machine.group.average(gradients, totals)
    for name, value in totals.items():
        game.watch.look(f"the term {name!r}", value)
    _clip(player.network, gradients, game)
    player.optimizer.step()
    player.optimizer.zero_grad(set_to_none=True)
    return totals


def _clip(network: nn.Module, gradients: list[Tensor], game: Game) -> None:
    norm = torch.nn.utils.get_total_norm(gradients)
    game.watch.look(f"the gradient of {type(network).__name__}", norm)
    if game.gradient_clip is not None:
        torch.nn.utils.clip_grads_with_norm_(network.parameters(), game.gradient_clip, norm)
