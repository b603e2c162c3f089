"""The contract of adversarial games: `check_objective`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ambientkit.interfaces import Terms, View
from ambientkit.testing.contract import Checks, Finding, Waivers, require
from ambientkit.testing.measurement_case import fixed_global_states
from ambientkit.testing.networks import some_observed, uniform
from ambientkit.testing.pretended import device_complaint, pretended_gpu
from ambientkit.testing.watching import (
    gradient_by,
    mapped,
    require_finite,
    require_only_torch_is_random,
    require_scalars,
    require_term_names,
    require_unwritten,
    terms_of,
    total,
    works_first,
)

COUNT, SIDE = 4, 8
LOW, HIGH = 0.0, 0.5
"""Scores that are compared to see who gains: between the targets of least squares, within hinge's margin."""
CONFIDENT = (60.0, 1000.0)
"""Scores at which a sigmoid rounds to 0 or 1: while exp is finite, and where it is not."""


class _ToyCritic(nn.Module):
    """Scores are the mean of y, times a weight of 1: views say what score they get.

    `maps` gives each score four times, as a map. With a `slope` scores are the same, and steeper in y.
    """

    def __init__(self, maps: bool = False, slope: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.maps = maps
        self.slope = slope

    def forward(self, view: View) -> Tensor:
        """(n,), or (n, 1, 2, 2)."""
        mean = view.y.flatten(1).mean(1)
        scores: Tensor = self.weight * (self.slope * mean - (self.slope - 1) * mean.detach())
        return scores.view(-1, 1, 1, 1).expand(-1, 1, 2, 2) if self.maps else scores


def _view(scores: Tensor) -> View:
    """A view that a toy critic scores so."""
    n = len(scores)
    seen = some_observed(n, SIDE, SIDE)
    texture = uniform(1, (1, SIDE, SIDE), "texture")
    return View(scores.view(-1, 1, 1, 1) + texture - texture.mean(), seen, None, ~seen)


@dataclass
class ObjectiveCase:
    """An objective under test, with critics and views."""

    objective: Any

    def discriminator(self, critic: nn.Module, real: View, fake: View) -> Terms:
        """The terms of the discriminator's update; leaves the check where there are none."""
        return self._terms("discriminator_terms", critic, real, fake)

    def generator(self, critic: nn.Module, real: View, fake: View) -> Terms:
        """The terms of the generator's update; leaves the check where there are none."""
        return self._terms("generator_terms", critic, real, fake)

    def players(self) -> dict[str, Callable[[nn.Module, View, View], Terms]]:
        """Both, by the name of their method."""
        return {"discriminator_terms": self.discriminator, "generator_terms": self.generator}

    def raw(self, method: str, critic: nn.Module, real: View, fake: View) -> Any:
        """What a player's method returns; the discriminator's with its penalties, if it has any."""
        terms = getattr(self.objective, method)(critic, real, fake)
        if method != "discriminator_terms" or not hasattr(self.objective, "penalty_terms"):
            return terms
        answer = self.objective.penalty_terms(critic, real, fake)
        penalties = terms_of(answer, "`penalty_terms`") if answer != {} else {}
        twice = sorted(set(terms) & set(penalties))
        require(not twice, f"terms and penalties are both named {', '.join(twice)}", "name them apart")
        return {**terms, **penalties}

    def _terms(self, method: str, critic: nn.Module, real: View, fake: View) -> Terms:
        def work() -> Terms:
            return terms_of(self.raw(method, critic, real, fake), f"`{method}`")

        with fixed_global_states():
            return works_first(f"`{method}`", work)


def _spread(centre: float, n: int = COUNT) -> View:
    return _view(centre + torch.linspace(-0.1, 0.1, n))


OBJECTIVE_CHECKS: Checks[ObjectiveCase] = Checks()


def check_objective(
    objective: Any, *, name: str | None = None, waived: Waivers | None = None
) -> list[Finding]:
    """Hold an adversarial game to its contract.

    `name` stands in the message (default: the class's); `waived` maps a check's name to why its failure
    is accepted. Returns what every check found. Raises ContractError with all that fail.
    """
    return OBJECTIVE_CHECKS.require(name or type(objective).__name__, ObjectiveCase(objective), waived)


@OBJECTIVE_CHECKS.add
def both_players_get_terms(case: ObjectiveCase) -> None:
    """Both methods return named terms, for fakes that carry no gradient too."""
    for method in case.players():
        with fixed_global_states():
            terms_of(case.raw(method, _ToyCritic(), _spread(0.1), _spread(-0.1)), f"`{method}`")


@OBJECTIVE_CHECKS.add
def terms_have_short_names(case: ObjectiveCase) -> None:
    """Names are words, which logs show after the player's."""
    for method, player in case.players().items():
        require_term_names(player(_ToyCritic(), _spread(0.1), _spread(-0.1)), f"`{method}`")


@OBJECTIVE_CHECKS.add
def terms_are_scalars(case: ObjectiveCase) -> None:
    """Terms are 0-d tensors."""
    for method, player in case.players().items():
        require_scalars(player(_ToyCritic(), _spread(0.1), _spread(-0.1)), f"`{method}`")


@OBJECTIVE_CHECKS.add
def terms_stay_finite_on_confident_scores(case: ObjectiveCase) -> None:
    """Scores far from 0, either way, give finite terms and gradients."""
    remedy = "use softplus or logsigmoid instead of log(sigmoid(...))"
    for score in (sign * size for size in CONFIDENT for sign in (1.0, -1.0)):
        for method, player in case.players().items():
            critic = _ToyCritic()
            terms = player(critic, _spread(score), _spread(-score))
            require_finite(terms, f"for scores of {score:g} and {-score:g} (`{method}`)", remedy)
            gradient = gradient_by(terms, critic.weight)
            require(
                gradient is None or bool(torch.isfinite(gradient).all()),
                f"for scores of {score:g} and {-score:g} the gradient of `{method}` is not finite",
                remedy,
            )


@OBJECTIVE_CHECKS.add
def the_discriminator_gets_a_gradient(case: ObjectiveCase) -> None:
    """Its terms have a gradient by the critic's weights."""
    critic = _ToyCritic()
    gradient = gradient_by(case.discriminator(critic, _spread(0.2), _spread(-0.1)), critic.weight)
    require(
        gradient is not None and bool(gradient != 0),
        "`discriminator_terms` have no gradient by the critic's weights",
        "compute them from critic(real) and critic(fake) without .detach(), .item() or torch.no_grad()",
    )


@OBJECTIVE_CHECKS.add
def the_generator_gets_a_gradient(case: ObjectiveCase) -> None:
    """Its terms have a gradient by `fake.y`, while the critic's weights are frozen."""
    critic = _ToyCritic().requires_grad_(False)
    fake = _spread(-0.1)
    fake.y.requires_grad_()
    gradient = gradient_by(case.generator(critic, _spread(0.2), fake), fake.y)
    require(
        gradient is not None and bool((gradient != 0).any()),
        "`generator_terms` have no gradient by `fake.y`",
        "compute them from critic(fake) without .detach(), .item() or torch.no_grad()",
    )


@OBJECTIVE_CHECKS.add
def the_discriminator_gains_by_telling_them_apart(case: ObjectiveCase) -> None:
    """Its total falls when reals score higher, and when fakes score lower."""
    critic = _ToyCritic()

    def cost(real: float, fake: float) -> float:
        return float(total(case.discriminator(critic, _spread(real), _spread(fake))).detach())

    remedy = "a higher score means more real: check the signs in `discriminator_terms`"
    for other in (LOW, HIGH):
        require(
            cost(HIGH, other) < cost(LOW, other),
            f"the discriminator's total does not fall when reals score {HIGH:g} instead of {LOW:g}",
            remedy,
        )
        require(
            cost(other, LOW) < cost(other, HIGH),
            f"the discriminator's total does not fall when fakes score {LOW:g} instead of {HIGH:g}",
            remedy,
        )


@OBJECTIVE_CHECKS.add
def the_generator_gains_by_fooling_the_discriminator(case: ObjectiveCase) -> None:
    """Its total falls when fakes score higher."""
    critic, real = _ToyCritic(), _spread(LOW)
    low, high = (float(total(case.generator(critic, real, _spread(fake))).detach()) for fake in (LOW, HIGH))
    require(
        high < low,
        f"the generator's total is {low:.3g} where fakes score {LOW:g} and {high:.3g} where they score "
        f"{HIGH:g}; it must fall",
        "the generator wants its fakes to score high: check the sign in `generator_terms`",
    )


@OBJECTIVE_CHECKS.add
def terms_are_means_over_the_batch(case: ObjectiveCase) -> None:
    """A batch that holds every view twice gives the same terms."""
    for method, player in case.players().items():
        once = player(_ToyCritic(), _spread(0.2), _spread(-0.3))
        twice = player(_ToyCritic(), _doubled(_spread(0.2)), _doubled(_spread(-0.3)))
        _require_equal_terms(once, twice, f"`{method}` of a batch and of the same batch twice")


@OBJECTIVE_CHECKS.add
def terms_are_means_over_maps_of_scores(case: ObjectiveCase) -> None:
    """A critic that scores patches, (n, 1, h, w), with equal scores gives what one score a view gives.

    Terms that depend on how steep the critic is, such as a gradient penalty, are left out: four scores
    together are steeper than one.
    """
    for method, player in case.players().items():
        scores, maps, steep = (
            player(critic, _spread(0.2), _spread(-0.3))
            for critic in (_ToyCritic(), _ToyCritic(maps=True), _ToyCritic(slope=2.0))
        )
        penalties = {name for name, value in scores.items() if not torch.equal(value, steep[name])}
        scores, maps = _without(scores, penalties), _without(maps, penalties)
        _require_equal_terms(scores, maps, f"`{method}` of scores (n,) and of equal scores (n, 1, 2, 2)")


def _without(terms: Terms, names: set[str]) -> Terms:
    return {name: value for name, value in terms.items() if name not in names}


def _doubled(view: View) -> View:
    twice: View = mapped(view, lambda tensor: torch.cat([tensor, tensor]))
    return twice


def _require_equal_terms(one: Terms, other: Terms, what: str) -> None:
    require(one.keys() == other.keys(), f"{what} have different names", "always return the same terms")
    for name, value in one.items():
        a, b = float(value.detach().mean()), float(other[name].detach().mean())
        require(
            abs(a - b) <= 1e-4 * max(1.0, abs(a)),
            f"{what} differ: {name!r} is {a:.4g} and {b:.4g}",
            "take the mean over all scores, not the sum",
        )


@OBJECTIVE_CHECKS.add
def views_are_not_written_to(case: ObjectiveCase) -> None:
    """Views are used again for the other player, and ask for no gradient that they did not ask for."""
    for player in case.players().values():
        real, fake = _spread(0.2), _spread(-0.3)
        require_unwritten({"real": real, "fake": fake}, lambda: player(_ToyCritic(), real, fake))  # noqa: B023 - called at once


@OBJECTIVE_CHECKS.add
def weights_are_left_to_the_optimiser(case: ObjectiveCase) -> None:
    """Terms are worked out without a change of the discriminator, which is called and nothing else."""
    for method, player in case.players().items():
        critic = _ToyCritic()
        player(critic, _spread(0.2), _spread(-0.3))
        require(
            critic.weight.item() == 1.0,
            f"`{method}` changed the discriminator's weights",
            "return terms alone; what must be done after an update belongs into `after_discriminator_step`",
        )


@OBJECTIVE_CHECKS.add
def randomness_is_torchs_alone(case: ObjectiveCase) -> None:
    """What is drawn (places between real and fake, say) comes from the generator that the engine sets."""
    for method, player in case.players().items():
        player(_ToyCritic(), _spread(0.2), _spread(-0.3))  # leaves the check where there are no terms
        work = partial(case.raw, method)
        require_only_torch_is_random(lambda: work(_ToyCritic(), _spread(0.2), _spread(-0.3)))  # noqa: B023 - called at once


@OBJECTIVE_CHECKS.add
def terms_are_made_on_the_device_of_the_views(case: ObjectiveCase) -> None:
    """Terms and penalties of CUDA tensors need none on the CPU; tried with tensors that hold nothing.

    An objective that has to look at values (`.item()`, NumPy) cannot be tried so, and passes.
    """
    for method, player in case.players().items():
        real, fake = _spread(0.2), _spread(-0.3)
        player(_ToyCritic(), real, fake)  # leaves the check where there are no terms
        with pretended_gpu(gradients=True) as to_gpu:
            views = mapped((real, fake), to_gpu)
            complaint = device_complaint(lambda: case.raw(method, _ToyCritic(), *views))  # noqa: B023 - called at once
        remedy = "make tensors with torch.ones_like(scores) or device=scores.device"
        require(not complaint, f"`{method}`, given tensors on a GPU, {complaint}", remedy)


@OBJECTIVE_CHECKS.add
def penalties_are_due_at_whole_intervals(case: ObjectiveCase) -> None:
    """`penalty_every` is a number of updates, 1 or more."""
    every = getattr(case.objective, "penalty_every", 1)
    require(
        isinstance(every, int) and every >= 1,
        f"`penalty_every` is {every!r}",
        "make it a whole number of discriminator updates, 1 or more",
    )


@OBJECTIVE_CHECKS.add
def after_a_step_the_discriminator_is_sound(case: ObjectiveCase) -> None:
    """`after_discriminator_step` leaves finite weights of the same shapes that can still be trained."""
    with fixed_global_states():
        layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(), nn.Flatten(), nn.Linear(4 * 36, 1))
        network = nn.Sequential(*layers)
        before = {name: (weight.shape, weight.requires_grad) for name, weight in network.named_parameters()}
        with torch.no_grad():
            case.objective.after_discriminator_step(network)
    after = {name: (weight.shape, weight.requires_grad) for name, weight in network.named_parameters()}
    require(
        before == after, "`after_discriminator_step` changed which weights there are", "change values only"
    )
    bad = [name for name, weight in network.state_dict().items() if not torch.isfinite(weight).all()]
    require(
        not bad,
        f"`after_discriminator_step` left {', '.join(bad)} not finite",
        "guard divisions, and clip to finite bounds",
    )
