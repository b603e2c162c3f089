"""What `fog/fog` promises, that it is Koschmieder's law, and that its recipe trains."""

import math
from pathlib import Path

import pytest
import torch
from ambientkit.testing import MEASUREMENT_CHECKS, MeasurementCase, parametrize_with_checks

from ambientkit_fog import FogOptions
from ambientkit_fog.sensor import Fog

RECIPE = Path(__file__).parents[1] / "fog.yaml"
FEW = ("train.steps=2", "train.batch_size=4", "data.source.count=24", "data.holdout=4")
SHAPE = (3, 20, 16)
CORNERS = {
    "default": {},
    "thick": {"thickest": 10.0, "noise": 0.0},
    "dark": {"dimmest": 0.0, "horizon": 0.9},
    "known": {"airlight_known": True},
}


def case(options):
    """A sensor with these options, and the facts that the options declare."""
    return MeasurementCase(Fog(**options), SHAPE, facts=FogOptions(**options).facts())


@parametrize_with_checks(
    {name: (MEASUREMENT_CHECKS, lambda options=options: case(options)) for name, options in CORNERS.items()}
)
def test_it_keeps_its_promises(check):
    check()


def theta(beta, airlight=1.0, n=1):
    shared = {"beta": torch.full((n,), beta), "airlight": torch.full((n,), airlight)}
    return {**shared, "noise": torch.zeros(n, *SHAPE)}


def test_without_fog_nothing_changes():
    images = torch.rand(2, *SHAPE) * 2 - 1
    assert torch.equal(Fog().measure(images, theta(0.0, n=2)), images)


def test_in_the_thickest_fog_there_is_airlight_alone():
    y = Fog().measure(torch.rand(1, *SHAPE) * 2 - 1, theta(10.0, airlight=0.4))
    torch.testing.assert_close(y, torch.full_like(y, 0.4))


def test_it_is_koschmieders_law_for_light_from_0_to_1():
    """Black at 100 m through a fog of 0.02 / m with airlight 0.8 is as light as 0.8 (1 - exp(-2))."""
    y = Fog(far=100.0, horizon=0.5).measure(-torch.ones(1, *SHAPE), theta(0.02, airlight=2 * 0.8 - 1))
    light = (y[0, 0, 0, 0].item() + 1) / 2
    assert light == pytest.approx(0.8 * (1 - math.exp(-2)), rel=1e-5)


def test_distance_is_that_of_flat_ground():
    distance = Fog(near=5.0, far=100.0, horizon=0.5)._distance(torch.empty(1, 3, 20, 16))
    assert (distance[:10] == 100).all() and distance[-1].item() == pytest.approx(5)
    assert (distance.diff() <= 0).all()
    steps = (1 / distance[10:]).diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-3, atol=0)


def test_one_sees_three_over_beta_far():
    """At the visibility that the options speak of, black stands out from the sky by 5 %."""
    beta = 0.06
    y = Fog(near=3 / beta, far=3 / beta).measure(-torch.ones(1, *SHAPE), theta(beta))
    contrast = (1 - y[0, 0, 0, 0].item()) / 2
    assert contrast == pytest.approx(0.05, abs=0.001)


def test_draws_are_uniform_and_differ_from_picture_to_picture():
    drawn = Fog(thickest=0.1, dimmest=0.6, noise=0.03).sample(
        4096, (1, 4, 4), torch.Generator().manual_seed(0)
    )
    for values, low, high in ((drawn["beta"], 0.0, 0.1), ((drawn["airlight"] + 1) / 2, 0.6, 1.0)):
        assert low <= values.min() and values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=(high - low) * 0.02)
    assert (
        drawn["beta"].corrcoef().item() == 1
        and torch.stack([drawn["beta"], drawn["airlight"]]).corrcoef()[0, 1].abs() < 0.06
    )
    assert drawn["noise"].std().item() == pytest.approx(0.03, rel=0.02)


def test_what_is_known_is_the_airlight_or_nothing():
    drawn = Fog().sample(3, SHAPE, torch.Generator().manual_seed(0))
    assert Fog().known(drawn) is None
    assert list(Fog(airlight_known=True).known(drawn)) == ["airlight"]


def test_ground_that_comes_nearer_upwards_is_refused(engine):
    problems = engine.validate(RECIPE, "measurement.near=200")
    assert [problem.path for problem in problems] == ["measurement.near"]
    assert "at most 100" in problems[0].remedy


def test_it_cannot_be_composited(engine):
    assert [problem.path for problem in engine.validate(RECIPE, "composite=true")] == ["composite"]


@pytest.mark.parametrize("known", ["true", "false"])
def test_the_recipe_is_valid_and_trains(engine, tmp_path, known):
    assert engine.validate(RECIPE) == []
    result = engine.run(RECIPE, *FEW, f"measurement.airlight_known={known}", out=tmp_path, device="cpu")
    assert result.step == 2 and "composited_psnr" in result.figures
