"""The noisy sensors: their laws, and Poisson counts against SciPy's."""

import copy
import math

import pytest
import torch
from ambientkit_plugins.noise import register_measurements
from ambientkit_plugins.noise.options import GaussianNoiseOptions, PoissonNoiseOptions, SaltPepperOptions
from ambientkit_plugins.noise.poisson import poisson_quantile
from ambientkit_plugins.noise.sensors import GaussianNoise, PoissonNoise, SaltPepper, Speckle
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ambientkit import Context

SENSORS = {
    "gaussian": GaussianNoise(0.3, 0.3),
    "gaussian range": GaussianNoise(0.1, 0.5, report_sigma=True),
    "poisson": PoissonNoise(20.0),
    "poisson dark": PoissonNoise(2.5, dark=4.0),
    "salt": SaltPepper(0.3, salt=0.25),
    "salt per channel": SaltPepper(0.3, per_channel=True),
    "speckle": Speckle(3),
    "speckle 1": Speckle(1),
}
each = pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS.keys())


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n, shape=(3, 9, 7), seed=1):
    return torch.rand(n, *shape, generator=gen(seed)) * 2 - 1


def draws(sensor, grey, n=60, side=40, channels=2):
    """y of flat pictures, (n, channels, side, side)."""
    shape = (channels, side, side)
    return sensor.measure(torch.full((n, *shape), grey), sensor.sample(n, shape, gen(3)))


@each
@settings(max_examples=8, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_batch_equals_its_pictures_one_by_one_for_any_shape(sensor, n, channels, height, width, seed):
    shape = (channels, height, width)
    images, theta = pictures(n, shape, seed), sensor.sample(n, shape, gen(seed))
    whole = sensor.measure(images, theta)
    assert whole.shape == (n, *sensor.measured_shape(shape))
    assert theta and all(len(value) == n for value in theta.values())
    for i in range(n):
        alone = {name: value[i : i + 1] for name, value in theta.items()}
        assert torch.equal(sensor.measure(images[i : i + 1], alone), whole[i : i + 1])


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_measures_without_drawing_or_writing_in_the_dtype_of_the_images(sensor, dtype):
    images, before = pictures(5).to(dtype), torch.random.get_rng_state()
    theta = sensor.sample(5, (3, 9, 7), gen())
    again = sensor.sample(5, (3, 9, 7), gen())
    assert theta.keys() == again.keys()
    assert all(torch.equal(theta[name], again[name]) for name in theta)
    kept_images, kept = images.clone(), copy.deepcopy(theta)
    y = sensor.measure(images, theta)
    assert y.dtype == dtype
    assert torch.equal(y, sensor.measure(images, theta))
    assert torch.equal(images, kept_images)
    assert all(torch.equal(theta[name], kept[name]) for name in theta)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(y[0], sensor.measure(images[:1], {k: v[1:2] for k, v in theta.items()})[0])


@pytest.mark.parametrize("name", ["gaussian range", "salt", "salt per channel", "speckle"])
def test_exact_gradients(name):
    sensor, images = SENSORS[name], pictures(2, (2, 3, 4)).double().requires_grad_()
    assert sensor.gradient == "exact"
    theta = sensor.sample(2, (2, 3, 4), gen())
    assert torch.autograd.gradcheck(lambda x: sensor.measure(x, theta), images)


@each
def test_noise_is_independent_from_pixel_to_pixel(sensor):
    """Of neighbours, channels (but for salt that hits all at once) and pictures."""
    y = draws(sensor, 0.2, channels=2).double()
    if sensor.random and "sigma" in sensor.sample(1, (1, 1, 1), gen()):
        y = y - 0.2
    pairs = {
        "right": (y[..., 1:], y[..., :-1]),
        "below": (y[..., 1:, :], y[..., :-1, :]),
        "channel": (y[:, 0], y[:, 1]),
        "picture": (y[1:], y[:-1]),
    }
    for name, (a, b) in pairs.items():
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].abs()
        if name == "channel" and isinstance(sensor, SaltPepper) and not sensor.per_channel:
            assert correlation > 0.999
        else:
            assert correlation < 5 / math.sqrt(a.numel())


@pytest.mark.parametrize("grey", [-0.9, 0.0, 0.7])
@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("gaussian", lambda x: 0.09),
        ("gaussian range", lambda x: (0.5**3 - 0.1**3) / (3 * 0.4)),
        ("poisson", lambda x: 4 / 20**2 * 20 * (x + 1) / 2),
        ("poisson dark", lambda x: 4 / 2.5**2 * (2.5 * (x + 1) / 2 + 4)),
        ("speckle", lambda x: (x + 1) ** 2 / 3),
        ("speckle 1", lambda x: (x + 1) ** 2),
    ],
)
def test_the_mean_is_the_picture_and_the_variance_as_said(name, variance, grey):
    y = draws(SENSORS[name], grey).double()
    expected, few = variance(grey), 60 if name == "gaussian range" else y.numel()
    assert abs(y.mean() - grey) < 5 * math.sqrt(expected / y.numel())
    assert y.var().item() == pytest.approx(expected, rel=0.03 if few > 60 else 0.4)


def test_gaussian_noise_has_gaussian_tails_and_is_not_clipped():
    noise = draws(SENSORS["gaussian"], 0.9) - 0.9
    share = ((noise.abs() / 0.3) > 2).double().mean().item()
    assert share == pytest.approx(0.0455, abs=0.003)
    assert noise.max() > 0.9


def test_sigma_is_drawn_uniformly_for_each_picture_and_reported_only_if_asked():
    sensor = SENSORS["gaussian range"]
    theta = sensor.sample(4000, (1, 4, 4), gen())
    sigma = theta["sigma"]
    assert sigma.shape == (4000,)
    assert sigma.min() >= 0.1 and sigma.max() <= 0.5
    assert abs(sigma.mean() - 0.3) < 0.01 and abs(sigma.std() - 0.4 / math.sqrt(12)) < 0.01
    scaled = theta["noise"] / sigma.view(-1, 1, 1, 1)
    assert abs(scaled.std() - 1) < 0.02
    assert torch.equal(sensor.known(theta)["sigma"], sigma)
    assert GaussianNoise(0.1, 0.5).known(theta) is None


@pytest.mark.parametrize("peak", [0.3, 1, 4, 7, 30, 200, 1000, 1e5])
def test_counts_equal_scipys(peak):
    poisson = pytest.importorskip("scipy.stats").poisson
    uniform = torch.rand(40_000, generator=gen(1)).double() + 2.0**-25
    edges = torch.tensor([0.0, 1e-3, 0.5, 1 - 1e-3, 1 - 2.0**-24], dtype=torch.float64) + 2.0**-25
    uniform = torch.cat([edges, uniform])
    rate = torch.rand(len(uniform), generator=gen(2), dtype=torch.float64) * peak
    expected = torch.from_numpy(poisson.ppf(uniform.numpy(), rate.numpy()))
    assert torch.equal(poisson_quantile(uniform, rate), expected)


def test_counts_at_the_seam_of_the_two_ways_and_where_nothing_shines():
    poisson = pytest.importorskip("scipy.stats").poisson
    uniform = torch.cat(
        [torch.linspace(2**-25, 1 - 2**-25, 3001).double().clamp(max=1 - 2**-25), torch.logspace(-7, -1, 500)]
    ).double()
    for rate in (0.0, 3.999999, 4.0, 4.000001):
        rates = torch.full_like(uniform, rate)
        expected = torch.from_numpy(poisson.ppf(uniform.numpy(), rate))
        assert torch.equal(poisson_quantile(uniform, rates), expected)
    assert poisson_quantile(uniform[:2], torch.tensor([math.nan, 0.0]).double()).isnan().tolist() == [
        True,
        False,
    ]


@settings(max_examples=25, deadline=None)
@given(st.floats(2**-25, 1 - 2**-25), st.floats(0, 60), st.floats(1e-6, 1))
def test_counts_never_fall_as_the_rate_grows(uniform, start, step):
    rate = start + step * torch.arange(400, dtype=torch.float64)
    counts = poisson_quantile(torch.full_like(rate, uniform), rate)
    assert (counts.diff() >= 0).all()
    assert (counts >= 0).all() and torch.equal(counts, counts.round())


def test_y_of_photons_is_a_whole_number_of_them_and_none_where_black():
    y = draws(PoissonNoise(16.0), 0.3)
    counts = (y + 1) * 8
    assert torch.equal(counts, counts.round())
    assert (draws(PoissonNoise(16.0), -1.0) == -1).all()
    assert draws(PoissonNoise(16.0, dark=3.0), -1.0).min() == pytest.approx(-1 - 6 / 16)


def test_the_gradient_of_photons_is_that_of_their_mean():
    sensor = SENSORS["poisson"]
    images = torch.tensor([-1.5, -1.0, -0.3, 0.0, 1.0]).view(1, 1, 1, 5).requires_grad_()
    y = sensor.measure(images, sensor.sample(1, (1, 1, 5), gen()))
    weights = torch.tensor([2.0, 3.0, 5.0, 7.0, 11.0]).view_as(y)
    (gradient,) = torch.autograd.grad((weights * y).sum(), images)
    assert gradient.flatten().tolist() == [0.0, 3.0, 5.0, 7.0, 11.0]
    assert sensor.gradient == "surrogate" and "mean" in sensor.gradient_reason


@pytest.mark.parametrize("name", ["salt", "salt per channel"])
def test_salt_and_pepper_come_as_often_as_said_and_leave_the_rest_alone(name):
    sensor, images = SENSORS[name], pictures(80, (3, 40, 40))
    theta = sensor.sample(80, (3, 40, 40), gen())
    hit = theta["hit"]
    assert hit.shape == (80, 3 if sensor.per_channel else 1, 40, 40) and hit.dtype == torch.int8
    assert (hit == 1).double().mean().item() == pytest.approx(0.3 * sensor.salt, abs=0.005)
    assert (hit == -1).double().mean().item() == pytest.approx(0.3 * (1 - sensor.salt), abs=0.005)
    y, place = sensor.measure(images, theta), hit.expand_as(images)
    assert torch.equal(y[place == 0], images[place == 0])
    assert (y[place == 1] == 1).all() and (y[place == -1] == -1).all()
    assert sensor.observed(theta, (3, 40, 40)) is None and not sensor.exact


def test_one_look_is_exponential_and_more_looks_are_gamma():
    stats = pytest.importorskip("scipy.stats")
    for looks in (1, 4):
        factor = Speckle(looks).sample(20, (1, 30, 30), gen())["factor"].double().flatten()
        assert stats.kstest(factor.numpy(), stats.gamma(looks, scale=1 / looks).cdf).pvalue > 1e-3
    assert (draws(Speckle(1), -1.0) == -1).all()


def test_every_declared_fact_holds_of_what_is_built():
    built = {c.kind: (c.options(), c.build(c.options(), Context())) for c in register_measurements()}
    assert set(built) == {"gaussian_noise", "poisson_noise", "salt_pepper", "speckle"}
    for options, sensor in built.values():
        assert options.facts() == {"random", "pixelwise", "flip"}
        assert sensor.random and sensor.pixelwise and not sensor.exact
        assert sensor.symmetric == {"flip"} and sensor.fill is None
        assert sensor.known(sensor.sample(1, (1, 2, 2), gen())) is None


def test_options_reach_what_is_built():
    build = {c.kind: c for c in register_measurements()}
    made = {
        kind: build[kind].build(build[kind].options(**options), Context())
        for kind, options in {
            "gaussian_noise": {"sigma": [0.1, 0.4], "report_sigma": True},
            "poisson_noise": {"peak": 3, "dark": 2},
            "salt_pepper": {"p": 0.4, "salt": 1, "per": "channel"},
            "speckle": {"looks": 9},
        }.items()
    }
    assert vars(made["gaussian_noise"]) == {"lowest": 0.1, "highest": 0.4, "report_sigma": True}
    assert vars(made["poisson_noise"]) == {"peak": 3, "dark": 2}
    assert vars(made["salt_pepper"]) == {"p": 0.4, "salt": 1, "per_channel": True}
    assert vars(made["speckle"]) == {"looks": 9}


def test_complaints():
    def fields(**options):
        return [c.field for c in GaussianNoiseOptions(**options).complaints(Context())]

    assert fields() == fields(sigma=(0.1, 0.2), report_sigma=True) == []
    assert fields(sigma=(0.3, 0.1)) == ["sigma"]
    assert fields(sigma=0.3, report_sigma=True) == ["report_sigma"]


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        (GaussianNoiseOptions, {"sigma": 0}),
        (GaussianNoiseOptions, {"sigma": [0.1]}),
        (PoissonNoiseOptions, {"peak": 0}),
        (PoissonNoiseOptions, {"dark": -1}),
        (SaltPepperOptions, {"p": 1}),
        (SaltPepperOptions, {"salt": 1.1}),
    ],
)
def test_bad_options_are_refused(options, bad):
    with pytest.raises(ValidationError):
        options(**bad)
