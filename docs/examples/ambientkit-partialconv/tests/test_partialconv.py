"""What `partialconv/unet` promises, that it is the paper's layer, and that its recipe trains."""

from pathlib import Path

import pytest
import torch
from ambientkit import Context, Measured
from ambientkit.errors import PluginError
from ambientkit.testing import check_generator

from ambientkit_partialconv.network import Masked, PartialConv

RECIPE = Path(__file__).parents[1] / "partialconv.yaml"
FEW = ("train.steps=2", "train.batch_size=4", "data.source.count=24", "data.holdout=4")


def network(engine, shape=(3, 16, 24), **options):
    context = Context(image_shape=shape, measured_shape=shape)
    return engine.build("generator", "partialconv/unet", context=context, **options)


@pytest.mark.parametrize("options", [{"width": 4, "depth": 1}, {"width": 4, "depth": 3}], ids=str)
@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 8, 8)], ids=str)
def test_it_keeps_its_promises(engine, options, shape):
    check_generator(network(engine, shape, **options), shape)


def test_where_all_is_known_it_is_a_convolution():
    layer = PartialConv(2, 3, 3)
    x = torch.randn(1, 2, 6, 6)
    made, known = layer(Masked(x, torch.ones(1, 1, 6, 6, dtype=torch.bool)))
    expected = layer.convolution(x) + layer.bias
    torch.testing.assert_close(
        made[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1]
    )  # the border has fewer pixels
    assert known.all()


def test_a_window_with_one_known_pixel_counts_for_nine():
    layer = PartialConv(1, 1, 3)
    x, known = torch.zeros(1, 1, 7, 7), torch.zeros(1, 1, 7, 7, dtype=torch.bool)
    x[..., 3, 3], known[..., 3, 3] = 2.0, True
    made, after = layer(Masked(x, known))
    assert made[0, 0, 3, 3].item() == pytest.approx(
        9 * 2 * layer.convolution.weight[0, 0, 1, 1].item(), rel=1e-5
    )
    assert after.sum() == 9 and after[0, 0, 2:5, 2:5].all()
    assert (made[~after] == 0).all()


def test_what_a_hidden_pixel_holds_has_no_effect(engine):
    made_of = network(engine, width=4, depth=2)
    observed = torch.ones(2, 1, 16, 24, dtype=torch.bool)
    observed[..., 4:12, 4:12] = False
    y = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        made = [made_of(Measured(y.where(observed, fill), observed), None) for fill in (0.0, 1.0, torch.nan)]
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])
    assert made[0].isfinite().all()


def test_a_sensor_that_says_nothing_of_holes_is_refused(engine):
    change = (
        "measurement={kind: gaussian_noise, sigma: 0.1}",
        "composite=false",
        "further=null",
        "fidelity=[]",
    )
    assert any(problem.path == "generator" for problem in engine.validate(RECIPE, *change))
    with pytest.raises(PluginError, match="what was observed"):
        network(engine, width=4, depth=1)(Measured(torch.zeros(1, 3, 16, 24)), None)


def test_sides_that_cannot_be_halved_are_refused(engine):
    problems = engine.validate(RECIPE, "generator.depth=6")
    assert "generator.depth" in [problem.path for problem in problems]


def test_the_recipe_is_valid_and_trains(engine, tmp_path):
    assert engine.validate(RECIPE) == []
    result = engine.run(RECIPE, *FEW, out=tmp_path, device="cpu")
    assert result.step == 2 and "hidden_psnr" in result.figures
