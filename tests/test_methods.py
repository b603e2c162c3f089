"""Each method's terms on two pictures of two pixels, against its equations in plain numbers."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from ambientkit_plugins.adversarial import register_objectives
from ambientkit_plugins.fidelity import register_fidelities
from torch import nn

from ambientkit import Context, Generator, MaskingMeasurement, Measured
from ambientkit.machine import choose
from ambientkit.round_trip import Draws, Method
from ambientkit.updates import Game, Player, discriminator_update, generator_update

SHAPE = (1, 1, 2)
G, H = 0.3, 0.5  # the generator makes G + H (y0 + y1) at both pixels, or of a latent z: G + H z
A, B, M = 0.7, -0.4, 0.2  # D = A y0 + B y1 + M (what is observed of pixel 0)
Y = [[0.5, 0.0], [0.0, -0.25]]  # as measured: 0 is the fill
SEEN = [[1, 0], [0, 1]]


class OnePixel(MaskingMeasurement):
    """Hides pixel theta["place"], with a fill of 0; place 2 hides nothing."""

    fill = 0.0

    def sample(self, n, image_shape, generator):
        raise AssertionError("theta is given")

    def observed(self, theta, image_shape):
        return torch.arange(2).view(1, 1, 1, 2) != theta["place"].view(-1, 1, 1, 1)


class Linear(nn.Module, Generator):
    def __init__(self, latent=False):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([G, H]))
        self.completes, self.latent = not latent, latent

    def latent_shape(self, image_shape):
        return (1,) if self.latent else None

    def forward(self, measured, latent):
        source = latent.view(-1, 1, 1, 1) if self.latent else measured.y.sum((2, 3), keepdim=True)
        return (self.weights[0] + self.weights[1] * source).expand(-1, 1, 1, 2)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([A, B]))

    def forward(self, view):
        scores = (view.y.flatten(1) * self.weights).sum(1)
        return scores if view.observed is None else scores + M * view.observed.flatten(1)[:, 0]


def theta(*places):
    return {"place": torch.tensor(places)}


def built(register, kind, **options):
    component = {c.kind: c for c in register()}[kind]
    return component.build(component.options(**options), Context())


def terms(objective, fidelities=(), y=Y, seen=SEEN, composite=True, further=None, fresh=(0, 1), **given):
    """The terms of the discriminator's and of the generator's update, as numbers; `given` are of Draws."""
    networks = Linear("latent" in given), Critic()
    players = [Player(network, torch.optim.SGD(network.parameters(), lr=0.0)) for network in networks]
    networks[0].completes = "latent" not in given or further is not None
    game = Game(
        Method(OnePixel(), None if further is None else OnePixel(), composite, SHAPE),
        choose("cpu", "fp32"),
        players[0],
        players[1] if objective else None,
        built(register_objectives, *objective[:1], **objective[1]) if objective else None,
        [(kind, weight, built(register_fidelities, kind, **options)) for kind, weight, options in fidelities],
    )
    real = Measured(pixels(y), pixels(seen).bool())
    if further is not None:
        given |= {"theta_further": theta(*further), "further_chosen": torch.tensor([True, True])}
    drawn = Draws(theta(*fresh), **given)
    found = discriminator_update(game, real, drawn) | generator_update(game, real, drawn)
    return {name: float(value) for name, value in found.items()}


def pixels(values):
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 2)


def d(picture, place=None):
    """D of a measurement: `place` is the hidden pixel (0, 1 or 2 for none), None where nobody says."""
    return A * picture[0] + B * picture[1] + (0 if place is None else M * (place != 0))


def measured(picture, place):
    return [0.0 if number == place else value for number, value in enumerate(picture)]


def softplus(value):
    return log(1 + exp(value))


def mean(values):
    return sum(values) / len(values)


MADE = [G + H * sum(each) for each in Y]
COMPLETED = [[0.5, MADE[0]], [MADE[1], -0.25]]
FAKES = [measured(COMPLETED[0], 0), measured(COMPLETED[1], 1)]
D_REAL = [d(Y[0], 1), d(Y[1], 0)]
D_FAKE = [d(FAKES[0], 0), d(FAKES[1], 1)]


def test_completion_from_incomplete_pictures():
    """y against y^ = F(x^, theta') (AmbientGAN, eq. 1), x^ composited; the hinge game."""
    found = terms(("hinge", {}))
    assert found == pytest.approx(
        {
            "discriminator/real": mean([max(0, 1 - score) for score in D_REAL]),
            "discriminator/fake": mean([max(0, 1 + score) for score in D_FAKE]),
            "generator/adversarial": -mean(D_FAKE),
        }
    )


def test_the_stronger_way():
    """Pixel 0 of both is hidden besides: of the first it is known, of the second it never was."""
    shown = [0.0, -0.25]  # sums of y~: (0, 0) and (0, -.25)
    made = [G + H * each for each in shown]
    completed = [[made[0], made[0]], [made[1], -0.25]]
    fakes = [d(measured(completed[0], 0), 0), d(measured(completed[1], 1), 1)]
    for norm, cost in {
        "l1": abs(made[0] - 0.5),
        "l2": (made[0] - 0.5) ** 2,
        "charbonnier": ((made[0] - 0.5) ** 2 + 1e-6) ** 0.5,
    }.items():
        found = terms(("non_saturating", {}), [("held_out", 30.0, {"norm": norm})], further=(0, 0))
        assert found == pytest.approx(
            {
                "discriminator/real": mean([softplus(-score) for score in D_REAL]),
                "discriminator/fake": mean([softplus(score) for score in fakes]),
                "generator/adversarial": mean([softplus(-score) for score in fakes]),
                "generator/held_out": 30 * cost,
            },
            rel=1e-5,
        )


def test_uair():
    """Not composited; y^ restored and measured by the same theta' gives y^ (Pajot et al. 2019, sec. 3)."""
    fakes = [measured([MADE[0]] * 2, 0), measured([MADE[1]] * 2, 1)]
    again = [measured([G + H * sum(fake)] * 2, place) for place, fake in enumerate(fakes)]
    errors = [
        (one - other) ** 2 for a, b in zip(again, fakes, strict=True) for one, other in zip(a, b, strict=True)
    ]
    scores = [d(fakes[0], 0), d(fakes[1], 1)]
    found = terms(("lsgan", {}), [("measurement_consistency", 2.0, {})], composite=False)
    assert found == pytest.approx(
        {
            "discriminator/real": mean([(score - 1) ** 2 / 2 for score in D_REAL]),
            "discriminator/fake": mean([score**2 / 2 for score in scores]),
            "generator/adversarial": mean([(score - 1) ** 2 / 2 for score in scores]),
            "generator/measurement_consistency": 2 * mean(errors),
        },
        rel=1e-5,
    )


def test_ambientgan_with_relativistic_pairs():
    """x^ = G(z); softplus(D(y^) - D(y)), R1 and R2 (R3GAN, sec. 2): (A^2 + B^2) / 2 of a linear D."""
    made = [G + H * z for z in (1.0, -2.0)]
    fakes = [d(measured([made[0]] * 2, 0), 0), d(measured([made[1]] * 2, 1), 1)]
    pairs = list(zip(D_REAL, fakes, strict=True))
    found = terms(("rpgan", {"r1": 0.6, "r2": 0.2}), latent=torch.tensor([[1.0], [-2.0]]), composite=False)
    assert found == pytest.approx(
        {
            "discriminator/pairs": mean([softplus(fake - real) for real, fake in pairs]),
            "discriminator/r1": 0.6 / 2 * (A**2 + B**2),
            "discriminator/r2": 0.2 / 2 * (A**2 + B**2),
            "generator/adversarial": mean([softplus(real - fake) for real, fake in pairs]),
        },
        rel=1e-5,
    )


def test_wasserstein_with_a_penalty():
    """E[D(y^)] - E[D(y)] + 10 (||grad D|| - 1)^2 (WGAN-GP, eq. 3)."""
    found = terms(("wgan_gp", {}))
    assert found == pytest.approx(
        {
            "discriminator/real": -mean(D_REAL),
            "discriminator/fake": mean(D_FAKE),
            "discriminator/penalty": 10 * ((A**2 + B**2) ** 0.5 - 1) ** 2,
            "generator/adversarial": -mean(D_FAKE),
        },
        rel=1e-5,
    )


def test_full_supervision():
    """The sensor hides nothing (place 2): the block of `further` is known everywhere (GLCIC, eq. 2)."""
    y = [[0.5, 0.1], [0.8, -0.25]]
    made = [G + H * 0.1, G + H * 0.8]  # y~ has pixel 0 hidden in the first, pixel 1 in the second
    completed = [[made[0], 0.1], [0.8, made[1]]]
    scores = [d(each, 2) for each in completed]
    game = ("non_saturating", {})
    fidelity = ("held_out", 2500.0, {"norm": "l2"})
    found = terms(game, [fidelity], y=y, seen=[[1, 1], [1, 1]], further=(0, 1), fresh=(2, 2))
    assert found == pytest.approx(
        {
            "discriminator/real": mean([softplus(-d(each, 2)) for each in y]),
            "discriminator/fake": mean([softplus(score) for score in scores]),
            "generator/adversarial": mean([softplus(-score) for score in scores]),
            "generator/held_out": 2500 * mean([(made[0] - 0.5) ** 2, (made[1] + 0.25) ** 2]),
        },
        rel=1e-5,
    )


def test_unpaired():
    """Clean pictures of another set against completed ones, and nothing is measured again."""
    clean = [[0.9, 0.4], [-0.6, 0.2]]
    found = terms(("hinge", {}), reference=pixels(clean))
    completed = [d(each) for each in COMPLETED]
    assert found == pytest.approx(
        {
            "discriminator/real": mean([max(0, 1 - d(each)) for each in clean]),
            "discriminator/fake": mean([max(0, 1 + score) for score in completed]),
            "generator/adversarial": -mean(completed),
        },
        rel=1e-5,
    )


def test_the_energy_of_two_fills():
    """(|a - y| + |b - y| - |a - b|) / 2 over what was held out (Gneiting and Raftery 2007, eq. 21)."""

    a, b = G + H * 1.0, G + H * 3.0
    both = {"latent": torch.ones(2, 1), "latent_other": 3 * torch.ones(2, 1)}
    found = terms(None, [("held_out_energy", 1.0, {"scales": 1})], further=(0, 0), **both)
    assert found == pytest.approx(
        {"generator/held_out_energy": (abs(a - 0.5) + abs(b - 0.5) - abs(a - b)) / 2}, rel=1e-5
    )
