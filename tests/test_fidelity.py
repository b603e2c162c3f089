"""held_out, against values worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch
from ambientkit_plugins.feature_networks import FeatureNetwork
from ambientkit_plugins.fidelity import register_fidelities
from ambientkit_plugins.fidelity.perceptual import HeldOutPerceptual

from ambientkit import Context, RoundTrip
from ambientkit.errors import PluginError, RecipeError
from ambientkit.interfaces import Judged, View
from ambientkit.round_trip import composited

pytestmark = pytest.mark.smoke

KINDS = {component.kind: component for component in register_fidelities()}


def held_out(norm="l1"):
    component = KINDS["held_out"]
    return component.build(component.options(norm=norm), Context())


def trip(made, y, observed, further):
    return RoundTrip(y, observed, y, further, made, made, {}, y, observed)


def loss(fidelity, the_trip):
    (term,) = fidelity.terms(the_trip, lambda measured: measured.y, lambda images, theta: images).values()
    return term


def pictures(*rows):
    return torch.tensor(rows, dtype=torch.float32).view(len(rows), 1, 1, -1)


# Two pictures of four pixels. T = observed & ~further: pixels 1, 2 of the first, pixel 3 of the second.
OBSERVED = pictures([1, 1, 1, 0], [1, 1, 1, 1]).bool()
FURTHER = pictures([1, 0, 0, 0], [1, 1, 1, 0]).bool()
Y = pictures([0.1, 0.2, 0.3, 9], [0, 0, 0, -1])
MADE = pictures([9, 0.7, 0.1, 9], [9, 9, 9, 0.5])  # differences in T: .5, -.2, 1.5


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("l1", (0.5 + 0.2 + 1.5) / 3),
        ("l2", (0.25 + 0.04 + 2.25) / 3),
        ("charbonnier", sum(math.sqrt(d * d + 1e-6) for d in (0.5, 0.2, 1.5)) / 3),
    ],
)
def test_mean_cost_over_t(norm, expected):
    assert loss(held_out(norm), trip(MADE, Y, OBSERVED, FURTHER)).item() == pytest.approx(expected)


@pytest.mark.parametrize("norm", ["l1", "l2", "charbonnier"])
def test_channels_are_averaged_too(norm):
    three = [x.expand(2, 3, 1, 4) for x in (MADE, Y)]
    one = loss(held_out(norm), trip(MADE, Y, OBSERVED, FURTHER))
    torch.testing.assert_close(loss(held_out(norm), trip(*three, OBSERVED, FURTHER)), one)


@pytest.mark.parametrize("norm", ["l1", "l2", "charbonnier"])
def test_only_t_has_a_gradient_even_beside_nan(norm):
    target = OBSERVED & ~FURTHER
    made = MADE.masked_fill(~target, float("nan")).requires_grad_()
    y = Y.masked_fill(~OBSERVED, float("nan"))
    loss(held_out(norm), trip(made, y, OBSERVED, FURTHER)).backward()
    assert torch.equal(made.grad != 0, target)
    assert made.grad.isfinite().all()


@pytest.mark.parametrize("norm", ["l1", "l2", "charbonnier"])
def test_empty_t_gives_zero_with_its_graph(norm):
    made = MADE.clone().requires_grad_()
    term = loss(held_out(norm), trip(made, Y, OBSERVED, OBSERVED))
    assert term.item() == 0
    term.backward()
    assert torch.equal(made.grad, torch.zeros_like(made))


@pytest.mark.parametrize("norm", ["l2", "charbonnier"])
def test_a_perfect_picture_has_no_gradient(norm):
    made = Y.clone().requires_grad_()
    loss(held_out(norm), trip(made, Y, OBSERVED, FURTHER)).backward()
    assert torch.equal(made.grad, torch.zeros_like(made))


def test_the_sum_is_not_taken_in_bfloat16():
    made, y = MADE.bfloat16(), Y
    assert loss(held_out(), trip(made, y, OBSERVED, FURTHER)).dtype == torch.float32


def test_without_observed_it_is_refused():
    with pytest.raises(PluginError, match="held_out"):
        loss(held_out(), trip(MADE, Y, None, None))


def test_facts():
    needs = {"needs_observed", "needs_further", "needs_exact", "needs_completion"}
    assert KINDS["held_out"].options().facts() == needs
    assert KINDS["measurement_consistency"].options().facts() == {"needs_completion", "vanishes_composited"}
    assert KINDS["held_out_energy"].options().facts() == needs | {"needs_latent"}
    assert KINDS["feature_matching"].options().facts() == {"needs_features"}
    assert len(KINDS) == 4


# Consistency of measurements --------------------------------------------------------------------


def consistency(y_fake, theta, restore, measure):
    fidelity = KINDS["measurement_consistency"].build(None, Context())
    known = {"gain": theta["gain"]}
    the_trip = RoundTrip(Y, None, Y, None, MADE, MADE, theta, y_fake, None, known)
    (term,) = fidelity.terms(the_trip, restore, measure).values()
    return term


def test_consistency_by_hand():
    """F(x) = gain x + noise with the same theta twice; G adds 1 to what it sees, of the right gain."""
    theta = {"gain": torch.tensor([2.0, 0.5]).view(2, 1, 1, 1), "noise": pictures([9, 9], [-9, -9])}
    y_fake = pictures([0.0, 1.0], [0.5, -1.0])

    def restore(measured):
        assert measured.known["gain"] is theta["gain"] and measured.observed is None
        return measured.y + 1

    def measure(images, drawn):
        assert drawn is theta
        return drawn["gain"] * images + drawn["noise"]

    # 2 (0 + 1) + 9 - 0, 2 (1 + 1) + 9 - 1;  .5 (.5 + 1) - 9 - .5, .5 (-1 + 1) - 9 + 1
    expected = (11**2 + 12**2 + 8.75**2 + 8**2) / 4
    assert consistency(y_fake, theta, restore, measure).item() == pytest.approx(expected)


def test_a_generator_that_restores_rightly_is_consistent_and_others_learn():
    theta = {"gain": torch.full((2, 1, 1, 1), 2.0)}
    y_fake = pictures([0.0, 1.0], [0.5, -1.0])
    scale = torch.tensor(0.5, requires_grad=True)

    def loss_of(weight):
        return consistency(y_fake, theta, lambda m: weight * m.y, lambda x, drawn: drawn["gain"] * x)

    assert loss_of(scale).item() == 0
    wrong = torch.tensor(0.3, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss_of(wrong), wrong)
    assert gradient < 0  # towards 0.5


def test_it_is_refused_where_observed_pixels_are_kept_and_it_would_be_0(engine, tiny):
    recipe = tiny() | {"fidelity": [{"kind": "measurement_consistency"}]}
    with pytest.raises(RecipeError, match="is always 0 where observed pixels are kept"):
        engine.load(recipe)
    assert engine.load(recipe | {"composite": False})


def test_it_is_0_there_indeed(ready, tiny):
    trainer = ready(tiny()).trainer
    game, real, draws = trainer.game, trainer._batch(0), trainer.dice(0, "generator", 0)
    fidelity = KINDS["measurement_consistency"].build(None, Context())

    def restore(measured):
        return composited(game.method, game.generator.network(measured, None), measured)

    terms = fidelity.terms(game.trip(real, draws), restore, game.method.sensor.measure)
    assert terms["measurement_consistency"].item() == 0


# Two fills of one picture -----------------------------------------------------------------------


def energy(a, b, scales=1):
    component = KINDS["held_out_energy"]
    fidelity = component.build(component.options(scales=scales), Context())
    two = replace(trip(a, Y, OBSERVED, FURTHER), latent_other=torch.ones(2, 1))
    calls = []

    def restore(measured, latent=None):
        calls.append((measured.y is two.y_further, measured.observed is FURTHER, latent is two.latent_other))
        return b

    (term,) = fidelity.terms(two, restore, lambda images, theta: images).values()
    assert calls == [(True, True, True)]
    return term


def test_energy_by_hand():
    """a - y: .5, -.2, 1.5; b - y: .1, .4, -1; a - b: .4, -.6, 2.5."""
    b = pictures([7, 0.3, 0.7, 7], [7, 7, 7, -2])
    by_hand = [(0.5 + 0.1 - 0.4) / 2, (0.2 + 0.4 - 0.6) / 2, (1.5 + 1 - 2.5) / 2]
    assert energy(MADE, b).item() == pytest.approx(sum(by_hand) / 3, abs=1e-6)


def test_one_fill_for_all_latents_pays_as_under_held_out():
    assert energy(MADE, MADE).item() == pytest.approx(
        loss(held_out(), trip(MADE, Y, OBSERVED, FURTHER)).item()
    )


def test_energy_of_coarser_maps_by_hand():
    """2x2 pictures whose four pixels are all in T: their means are compared too, with equal weight."""
    a, b, y = (
        torch.tensor(values).view(1, 1, 2, 2) for values in ([1.0, 0, 0, 0], [0.0, 0, 0, 1], [0.0, 0, 0, 0])
    )
    seen, nothing = torch.ones(1, 1, 2, 2, dtype=torch.bool), torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    component = KINDS["held_out_energy"]
    fidelity = component.build(component.options(scales=2), Context())
    two = replace(trip(a, y, seen, nothing), latent_other=torch.ones(1, 1))
    (term,) = fidelity.terms(two, lambda measured, latent: b, None).values()
    pixels = ((1 + 0 - 1) / 2 + (0 + 1 - 1) / 2) / 4
    means = (0.25 + 0.25 - 0) / 2
    assert term.item() == pytest.approx((pixels + means) / 2)


def test_the_law_of_what_was_hidden_has_the_least_energy():
    """y is -1 or 1 by chance: fills of both kinds cost less than the mean, and than one of them."""
    torch.manual_seed(0)
    n = 4000
    y, a, b = (torch.randint(0, 2, (n, 1, 1, 1)).float() * 2 - 1 for _ in range(3))
    seen, nothing = torch.ones(n, 1, 1, 1, dtype=torch.bool), torch.zeros(n, 1, 1, 1, dtype=torch.bool)
    fidelity = KINDS["held_out_energy"].build(KINDS["held_out_energy"].options(scales=1), Context())

    def cost(one, other):
        two = replace(trip(one, y, seen, nothing), latent_other=torch.ones(n, 1))
        return fidelity.terms(two, lambda measured, latent: other, None)["held_out_energy"].item()

    zeros, ones = torch.zeros_like(y), torch.ones_like(y)
    assert cost(a, b) == pytest.approx(0.5, abs=0.05)
    assert cost(zeros, zeros) == pytest.approx(1.0) and cost(ones, ones) == pytest.approx(1.0, abs=0.05)


# Features ---------------------------------------------------------------------------------------


def test_feature_matching_by_hand():
    """Maps with means 1 and 3, vectors with means (1, 1) and (4, -1): (2 + (3 + 2) / 2) / 2."""
    features = {
        "real": [torch.tensor([[0.0, 1], [1, 2]]).view(2, 1, 1, 2), torch.tensor([[0.0, 2], [2, 0]])],
        "fake": [torch.tensor([[3.0, 3], [3, 3]]).view(2, 1, 1, 2), torch.tensor([[4.0, -1], [4, -1]])],
    }
    judged = Judged(View(Y), View(MADE), lambda view: features["real" if view.y is Y else "fake"])
    the_trip = replace(trip(MADE, Y, OBSERVED, FURTHER), judged=judged)
    fidelity = KINDS["feature_matching"].build(None, Context())
    (term,) = fidelity.terms(the_trip, None, None).values()
    assert term.item() == pytest.approx((2 + (3 + 2) / 2) / 2)


@pytest.mark.parametrize(
    ("kind", "message"), [("feature_matching", "features"), ("held_out_energy", "latent")]
)
def test_what_is_missing_is_said(kind, message):
    fidelity = KINDS[kind].build(KINDS[kind].options(), Context())
    with pytest.raises(PluginError, match=message):
        fidelity.terms(trip(MADE, Y, OBSERVED, FURTHER), None, None)


# Perceptual ---------------------------------------------------------------------------------------


def in_features(maps):
    return HeldOutPerceptual(FeatureNetwork("plain", None, maps, lambda x: x))


def test_perceptual_compares_what_was_held_out_within_one_picture():
    seen = []
    fidelity = in_features(lambda _, x: [seen.append(x) or x])
    made = MADE.expand(2, 3, 1, 4).clone().requires_grad_()
    y = Y.expand(2, 3, 1, 4)
    loss(fidelity, trip(made, y, OBSERVED, FURTHER)).backward()
    wanted, shown = seen
    target = (OBSERVED & ~FURTHER).expand_as(made)
    assert torch.equal(shown[target], made[target]) and torch.equal(wanted[target], y[target])
    assert torch.equal(shown[~target], wanted[~target]), "they differ where something was held out alone"
    assert (made.grad[~target] == 0).all()


def test_perceptual_by_hand():
    """Channels of unit length: (.6, .8) against (1, 0) at one place of four; two layers alike."""
    made = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    y = torch.tensor([5.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    observed, further = torch.ones(1, 1, 1, 4).bool(), pictures([0, 1, 1, 1]).bool()
    fidelity = in_features(lambda _, x: [x, 2 * x])
    assert loss(fidelity, trip(made, y, observed, further)).item() == pytest.approx((0.4**2 + 0.8**2) / 4)
    assert loss(fidelity, trip(y, y, observed, further)).item() == 0


def test_perceptual_trains_with_the_real_features(engine, tiny, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch", reason="ambientkit[features] is not installed")
    recipe = tiny(
        further={"measurement": {"kind": "block_patch", "size": 6}},
        fidelity=[{"kind": "held_out", "norm": "perceptual"}],
        train={"steps": 1},
    )
    assert engine.run(recipe, out=tmp_path, device="cpu", precision="fp32").step == 1


def judged(real, fake):
    """A round trip whose discriminator has these features."""
    looks = Judged(View(Y), View(MADE), lambda view: real if view.y is Y else fake)
    return replace(trip(MADE, Y, OBSERVED, FURTHER), judged=looks)


@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 3), (0,)), ((2, 3, 4), (0, 2)), ((2, 3, 4, 5), (0, 2, 3))], ids=str
)
def test_features_of_any_number_of_axes_are_averaged_over_batch_and_places(shape, axes):
    """Per channel: what is up in one place and down in another is no difference."""
    real, fake = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    found = KINDS["feature_matching"].build(None, Context()).terms(judged([real], [fake]), None, None)
    assert float(found["feature_matching"]) == pytest.approx(
        float((real.mean(axes) - fake.mean(axes)).abs().mean()), rel=1e-5
    )


def test_both_sides_have_as_many_maps():
    with pytest.raises(ValueError, match="shorter"):
        matching = KINDS["feature_matching"].build(None, Context())
        matching.terms(judged([torch.zeros(2, 3)] * 2, [torch.zeros(2, 3)]), None, None)
