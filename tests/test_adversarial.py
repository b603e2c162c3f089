"""The games, against values worked out by hand on batches of two."""

import math

import pytest
import torch
from ambientkit_plugins.adversarial import register_objectives
from torch import nn
from torch.nn.utils import parametrizations

from ambientkit import Context, View

REAL, FAKE = View(torch.tensor([0.5, 3.0])), View(torch.tensor([-2.0, 0.25]))


def softplus(value):
    return math.log(1 + math.exp(value))


def objective(kind, **options):
    component = {c.kind: c for c in register_objectives()}[kind]
    return component.build(component.options(**options), Context())


BY_HAND = {
    # max(0, 1 - .5), max(0, 1 - 3);  max(0, 1 - 2), max(0, 1 + .25);  2, -.25
    "hinge": ((0.5 + 0) / 2, (0 + 1.25) / 2, (2 - 0.25) / 2),
    # softplus(-D(y));  softplus(D(y^));  softplus(-D(y^))
    "non_saturating": (
        (softplus(-0.5) + softplus(-3)) / 2,
        (softplus(-2) + softplus(0.25)) / 2,
        (softplus(2) + softplus(-0.25)) / 2,
    ),
    # (.5 - 1)^2, (3 - 1)^2;  (-2)^2, .25^2;  (-2 - 1)^2, (.25 - 1)^2; all halved
    "lsgan": ((0.25 + 4) / 4, (4 + 0.0625) / 4, (9 + 0.5625) / 4),
    # -.5, -3;  -2, .25;  2, -.25
    "wgan_clip": (-3.5 / 2, -1.75 / 2, 1.75 / 2),
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_terms(kind):
    game, (real, fake, adversarial) = objective(kind), BY_HAND[kind]
    terms = game.discriminator_terms(lambda view: view.y, REAL, FAKE)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx({"real": real, "fake": fake})
    terms = game.generator_terms(lambda view: view.y, REAL, FAKE)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx({"adversarial": adversarial})


def test_all_built_ins_are_tested():
    assert {component.kind for component in register_objectives()} == set(BY_HAND)


@pytest.mark.parametrize("kind", BY_HAND)
def test_maps_of_scores_are_averaged_to_0_d_terms(kind):
    scores = torch.randn(3, 1, 2, 5)
    terms = objective(kind).discriminator_terms(lambda view: view.y, View(scores), View(-scores))
    whole = objective(kind).discriminator_terms(
        lambda view: view.y, View(scores.flatten()), View(-scores.flatten())
    )
    for name, term in terms.items():
        assert term.shape == ()
        torch.testing.assert_close(term, whole[name])


@pytest.mark.parametrize("kind", BY_HAND)
def test_each_player_pulls_its_own_way(kind):
    game = objective(kind)
    real, fake = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    sum(game.discriminator_terms(lambda view: view.y, View(real), View(fake)).values()).backward()
    assert (real.grad < 0).all()  # going down the gradient raises real scores
    assert (fake.grad > 0).all() or kind == "lsgan"  # 0 is the target of a fake under least squares
    made = torch.zeros(2, requires_grad=True)
    game.generator_terms(lambda view: view.y, View(real), View(made))["adversarial"].backward()
    assert (made.grad < 0).all()


def test_clipping_spares_norms_and_biases():
    layers = [
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(4, 1),
        nn.ConvTranspose2d(2, 2, 3),
    ]
    network = nn.Sequential(*layers)
    for parameter in network.parameters():
        nn.init.constant_(parameter, -0.7)
    objective("wgan_clip", clip=0.02).after_discriminator_step(network)
    for layer in (layers[0], layers[3], layers[4]):
        assert torch.equal(layer.weight, torch.full_like(layer.weight, -0.02))
        assert torch.equal(layer.bias, torch.full_like(layer.bias, -0.7))
    assert torch.equal(layers[1].weight, torch.full_like(layers[1].weight, -0.7))


def test_clipping_reaches_the_original_under_spectral_norm():
    layer = parametrizations.spectral_norm(nn.Linear(4, 4)).eval()
    nn.init.constant_(layer.parametrizations.weight.original, 0.5)
    objective("wgan_clip").after_discriminator_step(layer)
    original = layer.parametrizations.weight.original
    assert torch.equal(original, torch.full_like(original, 0.01))


@pytest.mark.parametrize("kind", ["hinge", "non_saturating", "lsgan"])
def test_other_games_leave_weights_alone(kind):
    network = nn.Linear(2, 2)
    before = network.weight.clone()
    objective(kind).after_discriminator_step(network)
    assert torch.equal(network.weight, before)


def test_only_wgan_clip_clips_weights():
    facts = {c.kind: c.options().facts() for c in register_objectives()}
    assert facts.pop("wgan_clip") == {"clips_weights"}
    assert set(facts.values()) == {frozenset()}
