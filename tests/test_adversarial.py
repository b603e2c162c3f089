"""The games, against values worked out by hand on batches of two."""

import inspect
import math

import pytest
import torch
from ambientkit_plugins.adversarial import objectives, register_objectives
from ambientkit_plugins.adversarial.penalties import between
from ambientkit_plugins.dcgan.networks import DcganDiscriminator
from pydantic import ValidationError
from torch import nn
from torch.nn.utils import parametrizations

from ambientkit import Context, View
from ambientkit.errors import PluginError, RecipeError

pytestmark = pytest.mark.smoke

REAL, FAKE = View(torch.tensor([0.5, 3.0])), View(torch.tensor([-2.0, 0.25]))


def whole(game, critic, real, fake):
    """The discriminator's terms and penalties."""
    return game.discriminator_terms(critic, real, fake) | game.penalty_terms(critic, real, fake)


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
    assert {component.kind for component in register_objectives()} == {*BY_HAND, "rpgan", "wgan_gp"}


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


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_clipping_reaches_the_original_under_the_older_spectral_norm():
    layer = nn.utils.spectral_norm(nn.Linear(4, 4))
    nn.init.constant_(layer.weight_orig, 0.5)
    objective("wgan_clip").after_discriminator_step(layer)
    assert torch.equal(layer.weight_orig, torch.full_like(layer.weight_orig, 0.01))


def test_a_weight_that_clipping_would_not_bound_is_refused():
    layer = parametrizations.weight_norm(nn.Linear(4, 4))
    with pytest.raises(
        PluginError, match=r"wgan_clip: a ParametrizedLinear .*original0.*without weight norm"
    ):
        objective("wgan_clip").after_discriminator_step(nn.Sequential(layer))


@pytest.mark.parametrize("kind", ["hinge", "non_saturating", "lsgan"])
def test_other_games_leave_weights_alone(kind):
    network = nn.Linear(2, 2)
    before = network.weight.clone()
    objective(kind).after_discriminator_step(network)
    assert torch.equal(network.weight, before)


def test_facts_say_who_clips_and_who_penalises():
    kinds = {c.kind: c.options for c in register_objectives()}
    facts = {kind: options().facts() for kind, options in kinds.items()}
    assert facts.pop("wgan_clip") == {"clips_weights"}
    assert facts.pop("wgan_gp") == facts.pop("rpgan") == {"gradient_penalty"}
    assert set(facts.values()) == {frozenset()} and len(facts) == 3
    assert kinds["hinge"](r1=2.0).facts() == kinds["lsgan"](r2=0.5).facts() == {"gradient_penalty"}
    assert kinds["rpgan"](r1=0, r2=0).facts() == frozenset()


# Relativistic pairing and penalties -------------------------------------------------------------


def test_pairs_by_hand():
    game = objective("rpgan", r1=0, r2=0)
    # D(y) - D(y^) = .5 + 2 and 3 - .25
    terms = game.discriminator_terms(lambda view: view.y, REAL, FAKE)
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(
        {"pairs": (softplus(-2.5) + softplus(-2.75)) / 2}
    )
    terms = game.generator_terms(lambda view: view.y, REAL, FAKE)
    assert terms["adversarial"].item() == pytest.approx((softplus(2.5) + softplus(2.75)) / 2)


def steep(view):
    """D(y) = 3 y_0 + y_1^2 / 2, whose gradient is (3, y_1)."""
    return 3 * view.y[:, 0] + view.y[:, 1].square() / 2


TWO_REALS = View(torch.tensor([[0.0, 4.0], [1.0, 0.0]]))  # ||grad||^2 = 9 + 16 and 9 + 0
TWO_FAKES = View(torch.tensor([[2.0, 1.0], [5.0, 1.0]]))  # 9 + 1, twice


@pytest.mark.parametrize("kind", ["hinge", "non_saturating", "lsgan", "rpgan"])
def test_zero_centred_penalties_by_hand(kind):
    terms = whole(objective(kind, r1=2.0, r2=0.5), steep, TWO_REALS, TWO_FAKES)
    assert terms["r1"].item() == pytest.approx(2.0 / 2 * (25 + 9) / 2)
    assert terms["r2"].item() == pytest.approx(0.5 / 2 * 10)
    without = whole(objective(kind, r1=0.0, r2=0.5), steep, TWO_REALS, TWO_FAKES)
    assert "r1" not in without and "r2" in without


def test_the_wasserstein_penalty_of_a_linear_critic_by_hand():
    """||grad|| = 5 everywhere, wherever between reals and fakes it is looked at: 10 (5 - 1)^2."""
    terms = whole(
        objective("wgan_gp"), lambda view: 3 * view.y[:, 0] - 4 * view.y[:, 1], TWO_REALS, TWO_FAKES
    )
    assert terms["penalty"].item() == pytest.approx(160.0)
    assert terms["real"].item() == pytest.approx(-(-16 + 3) / 2)
    assert terms["fake"].item() == pytest.approx((2 + 11) / 2)
    flat = whole(objective("wgan_gp", strength=3.0), lambda view: 0 * view.y.sum(1), TWO_REALS, TWO_FAKES)
    assert flat["penalty"].item() == pytest.approx(3.0, abs=1e-4)


def test_penalties_have_a_gradient_by_the_weights():
    for kind, options in {"wgan_gp": {}, "hinge": {"r1": 1.0}, "rpgan": {}}.items():
        critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        terms = whole(
            objective(kind, **options),
            lambda view, critic=critic: critic(view.y).squeeze(1),
            TWO_REALS,
            TWO_FAKES,
        )
        penalties = [value for name, value in terms.items() if name in {"penalty", "r1", "r2"}]
        assert penalties
        for value in penalties:
            gradient = torch.autograd.grad(value, critic[0].weight, retain_graph=True)[0]
            assert gradient.abs().max() > 0
        assert TWO_REALS.y.grad is None and not TWO_REALS.y.requires_grad


def test_between_a_real_and_a_fake_everything_lies_on_one_line():
    torch.manual_seed(0)
    masks = torch.zeros(64, 1, 4, 4, dtype=torch.bool), torch.ones(64, 1, 4, 4, dtype=torch.bool)
    known = {"angle": torch.full((64, 2), 1.0)}, {"angle": torch.full((64, 2), 3.0)}
    real = View(torch.zeros(64, 3, 4, 4), masks[0], known[0], masks[0])
    middle = between(real, View(torch.ones(64, 3, 4, 4), masks[1], known[1], masks[1]))
    share = middle.y[:, 0, 0, 0]  # of the fake
    assert 0 < share.min() < 0.1 and 0.9 < share.max() < 1
    for part in (middle.y, middle.observed, middle.region):
        assert torch.allclose(part, share.view(-1, 1, 1, 1).expand_as(part))
    assert torch.allclose(middle.known["angle"], 1 + 2 * share.view(-1, 1).expand(-1, 2))
    assert between(View(real.y), real).observed is None


def test_a_mask_channel_takes_masks_between_two():
    network = DcganDiscriminator((1, 16, 16), width=2)
    y, mask = torch.randn(2, 1, 16, 16), torch.rand(2, 1, 16, 16) < 0.5
    assert torch.equal(network(View(y, mask)), network(View(y, mask.float())))
    assert not torch.equal(network(View(y, mask)), network(View(y, mask.float() / 2)))


@pytest.mark.parametrize(
    "game", [{"kind": "wgan_gp"}, {"kind": "rpgan"}, {"kind": "hinge", "r1": 1.0}], ids=lambda g: g["kind"]
)
def test_they_train_and_resume_to_the_bit(engine, tiny, tmp_path, game):
    recipe = tiny(train={"steps": 2, "checkpoints": {"every": 1}}) | {"objective": game}
    whole = engine.run(recipe, out=tmp_path / "whole")
    part = engine.run(recipe, out=tmp_path / "part")
    engine.resume(part.folder, checkpoint="step-0000001")
    last = "checkpoints/step-0000002/discriminator.safetensors"
    assert (whole.folder / last).read_bytes() == (part.folder / last).read_bytes()


def test_batch_norm_in_the_discriminator_is_refused(engine, tiny):
    recipe = tiny() | {"discriminator": {"kind": "dcgan", "width": 4, "norm": "batch"}}
    with pytest.raises(RecipeError, match="penalises gradients, which batch norm mixes"):
        engine.load(recipe | {"objective": {"kind": "hinge", "r1": 1.0}})


def test_defaults_are_those_of_the_papers_and_of_the_options():
    """The class, for those who use it alone, and the options, for recipes, say the same."""
    options = {component.kind: component.options() for component in register_objectives()}
    assert (options["wgan_gp"].strength, options["wgan_gp"].penalty_every) == (10, 1)
    assert (options["rpgan"].r1, options["rpgan"].r2) == (1, 1)
    assert options["wgan_clip"].clip == 0.01
    for kind in (
        objectives.Hinge,
        objectives.NonSaturating,
        objectives.LeastSquares,
        objectives.Relativistic,
    ):
        assert "penalty_every" in inspect.signature(kind).parameters
    parameters = inspect.signature(objectives.WassersteinPenalised).parameters
    assert parameters["strength"].default == 10 and parameters["penalty_every"].default == 1
    assert inspect.signature(objectives.WassersteinClipped).parameters["clip"].default == 0.01


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("wgan_gp", {"strength": 0}), ("wgan_clip", {"clip": 0}), ("wgan_gp", {"penalty_every": 0})],
)
def test_strengths_that_switch_the_game_off_are_refused(kind, wrong):
    (found,) = (component for component in register_objectives() if component.kind == kind)
    with pytest.raises(ValidationError, match="greater than"):
        found.options(**wrong)
