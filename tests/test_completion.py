"""A trained run applied to tensors: completing and generating."""

from __future__ import annotations

from pathlib import Path

import engine_fakes as fakes
import pytest
import torch
from torch import nn

from ambientkit import Engine, Generator
from ambientkit.completion import TrainedRun, _white_is_known
from ambientkit.errors import InputError
from ambientkit.machine import choose
from ambientkit.picture_files import MaskSource, complete_files

pytestmark = pytest.mark.smoke

CPU = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three trained runs: one that completes, one with a latent besides, one that generates."""
    root = tmp_path_factory.mktemp("runs")
    engine = Engine(plugins=[fakes], discover=False, cache_dir=root / "cache")
    latent = {"kind": "glcic", "width": 4, "latent_channels": 2, "norm": "none"}
    ambient = {"composite": False, "generator": {"kind": "dcgan", "width": 4, "latent": 5}}
    recipes = {"fill": fakes.tiny(), "many": fakes.tiny(generator=latent), "make": fakes.tiny(**ambient)}
    return engine, {
        name: engine.run(recipe, out=root / name, **CPU).folder for name, recipe in recipes.items()
    }


def opened(folders, name: str) -> TrainedRun:
    engine, found = folders
    return engine.open(found[name], device="cpu")


def picture(n: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    observed = torch.ones(n, 1, height, width, dtype=torch.bool)
    observed[..., 2:6, 1:5] = False
    return images, observed


@pytest.mark.parametrize("size", [(16, 16), (17, 22), (9, 31), (7, 6)])
def test_pictures_of_any_size_keep_their_observed_pixels_to_the_bit(folders, size):
    images, observed = picture(2, *size)
    completed = opened(folders, "fill").complete(images, observed)
    assert completed.shape == images.shape
    seen = observed.expand_as(images)
    assert torch.equal(completed[seen], images[seen])
    assert (completed[~seen] != images[~seen]).any()
    assert completed.abs().max() <= 1


def test_what_is_hidden_is_never_read(folders):
    images, observed = picture(2, 16, 16)
    run = opened(folders, "fill")
    other = torch.where(observed, images, torch.nan)
    assert torch.equal(run.complete(images, observed), run.complete(other, observed))


def test_of_a_supervised_run_too_hidden_pixels_are_not_read(engine, tiny, tmp_path):
    """Its sensor hides nothing, so the fill of its inputs is that of the further sensor."""
    further = {"measurement": {"kind": "block_patch", "size": 6, "fill": -0.5}, "probability": 1.0}
    recipe = tiny(measurement={"kind": "identity"}, further=further, fidelity=[{"kind": "held_out"}])
    run = engine.open(engine.run(recipe, out=tmp_path, **CPU).folder, device="cpu")
    assert run.fill == -0.5
    images, observed = picture(2, 16, 16)
    other = torch.where(observed, images, torch.nan)
    assert torch.equal(run.complete(images, observed), run.complete(other, observed))


def test_the_averaged_weights_are_used_in_evaluation_mode(folders):
    _, found = folders
    run = opened(folders, "fill")
    kept = fakes.contents(found["fill"] / "checkpoints" / "step-0000002")
    weights = fakes.weights(run.network)
    assert all(torch.equal(weights[name], kept["average.safetensors"][name]) for name in weights)
    assert not run.network.training


def test_padding_counts_as_hidden():
    seen = []

    class Spy(nn.Module, Generator):
        multiple = 4

        def forward(self, measured, latent):
            seen.append(measured)
            return torch.zeros_like(measured.y)

    images, observed = picture(1, 9, 6)
    TrainedRun(Spy(), choose("cpu", "fp32"), (3, 16, 16), 1.0, None).complete(images, observed)
    (measured,) = seen
    assert measured.y.shape == (1, 3, 12, 8)
    assert not measured.observed[..., 9:, :].any()
    assert not measured.observed[..., 6:].any()
    assert (measured.y[~measured.observed.expand_as(measured.y)] == 1.0).all()


def test_what_the_instrument_reported_is_told_to_the_generator():
    class Gained(nn.Module, Generator):
        def forward(self, measured, latent):
            return measured.known["gain"].view(-1, 1, 1, 1).expand_as(measured.y)

    images, observed = picture(2, 8, 8)
    run = TrainedRun(Gained(), choose("cpu", "fp32"), (3, 8, 8), 1.0, Path("run"), known_shapes={"gain": ()})
    made = run.complete(images, observed, known={"gain": torch.tensor([0.25, -0.5])})
    for number, gain in enumerate((0.25, -0.5)):
        assert (made[number][~observed[number].expand(3, -1, -1)] == gain).all()
    for wrong in ({"gain": [0.25, -0.5]}, {"gain": torch.zeros(1)}, {"angle": torch.zeros(2)}, {}):
        with pytest.raises(InputError, match=r"this run's sensor reports \{'gain': \(2,\)\}"):
            run.complete(images, observed, known=wrong)


def test_several_fills_differ_and_are_repeatable(folders):
    images, observed = picture(2, 16, 16)
    run = opened(folders, "many")
    fills = run.complete(images, observed, samples=3)
    assert fills.shape == (3, *images.shape)
    assert not torch.equal(fills[0], fills[1])
    assert torch.equal(fills, run.complete(images, observed, samples=3))
    assert torch.equal(fills[0], run.complete(images, observed))
    assert not torch.equal(fills, run.complete(images, observed, samples=3, seed=1))
    seen = observed.expand_as(images)
    assert all(torch.equal(fill[seen], images[seen]) for fill in fills)


def test_shapes_and_types_that_do_not_fit_are_refused(folders):
    images, observed = picture(2, 16, 16)
    run = opened(folders, "fill")
    for bad, message in (
        ((images[:, :1], observed), r"images have shape \(2, 1, 16, 16\); this run takes \(n, 3, H, W\)"),
        ((images, observed[:1]), r"observed has shape \(1, 1, 16, 16\); images have"),
        ((images, observed[..., 1:]), "observed has shape"),
        ((images, observed[:, 0]), "observed has shape"),
        (
            (images, observed.float()),
            r"observed must be bool, not torch\.float32",
        ),
        ((images.to(torch.uint8), observed), r"images must be float in \[-1, 1\], not torch\.uint8"),
    ):
        with pytest.raises(InputError, match=message):
            run.complete(*bad)
    with pytest.raises(InputError, match="takes no latent, so all fills are equal"):
        run.complete(images, observed, samples=2)
    with pytest.raises(InputError, match="cannot make 0 fills"):
        opened(folders, "many").complete(images, observed, samples=0)


def test_an_ambient_gan_generates_end_to_end(folders):
    run = opened(folders, "make")
    assert not run.completes
    images = run.generate(70, seed=3)
    assert images.shape == (70, 3, 16, 16)
    assert images.abs().max() <= 1
    assert len({tuple(image.flatten().tolist()) for image in images}) == 70
    torch.testing.assert_close(run.generate(3, seed=3), images[:3])
    assert not torch.allclose(run.generate(3, seed=4), images[:3])


def test_each_kind_of_run_says_what_it_does(folders):
    images, observed = picture(1, 16, 16)
    with pytest.raises(InputError, match="completes pictures; use `complete`"):
        opened(folders, "fill").generate(1)
    with pytest.raises(InputError, match="makes new images; use `generate`"):
        opened(folders, "make").complete(images, observed)
    with pytest.raises(InputError, match="cannot generate 0 images"):
        opened(folders, "make").generate(0)


def test_a_run_that_makes_new_pictures_completes_no_files_whatever_their_masks(folders, tmp_path):
    """Said before a picture or a mask is looked for."""
    nowhere = MaskSource(masks=tmp_path / "none")
    with pytest.raises(InputError, match="makes new images; use `generate`"):
        next(complete_files(opened(folders, "make"), [tmp_path / "nothing"], tmp_path / "out", nowhere))


def test_a_run_without_compositing_restores_whole_pictures(tmp_path):
    restoring = {"composite": False, "generator": {"kind": "glcic", "width": 4, "mask_channel": False}}
    engine = Engine(plugins=[fakes], discover=False, cache_dir=tmp_path / "cache")
    folder = engine.run(fakes.tiny(**restoring), out=tmp_path / "runs", **CPU).folder
    run = engine.open(folder, device="cpu")
    images, _ = picture(2, 17, 22)
    restored = run.complete(images)
    assert restored.shape == images.shape
    assert (restored != images).float().mean() > 0.99


def test_a_run_that_saw_masks_asks_for_one_though_it_restores_whole_pictures(engine, tiny, tmp_path):
    folder = engine.run(tiny(composite=False), out=tmp_path / "runs", **CPU).folder
    run = engine.open(folder, device="cpu")
    images, observed = picture(1, 16, 16)
    with pytest.raises(InputError, match="must know which pixels are observed"):
        run.complete(images)
    assert run.complete(images, observed).shape == images.shape


def test_a_generator_that_fills_from_the_surroundings_asks_for_masks_without_a_channel_for_them(tmp_path):
    network = {"kind": "resunet", "width": 4, "depth": 1, "mask_channel": False, "attention": False}
    engine = Engine(plugins=[fakes], discover=False, cache_dir=tmp_path / "cache")
    folder = engine.run(fakes.tiny(composite=False, generator=network), out=tmp_path / "runs", **CPU).folder
    with pytest.raises(InputError, match="must know which pixels are observed"):
        engine.open(folder, device="cpu").complete(picture(1, 16, 16)[0])


def test_hidden_pixels_without_a_constant_are_shown_as_their_mean_in_training(engine, tiny, tmp_path):
    """A block of 1 with noise on it: what a network then meets in use is 1, and no grey that it never saw."""
    parts = [{"kind": "block_patch", "size": 6, "fill": 1.0}, {"kind": "gaussian_noise", "sigma": 0.1}]
    recipe = tiny(composite=False, measurement={"kind": "sequence", "sensors": parts})
    run = engine.open(engine.run(recipe, out=tmp_path / "runs", **CPU).folder, device="cpu")
    assert run.fill == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: x * 127.5 + 127.5, r"must be in \[-1, 1\]"),
        (lambda x: x.masked_fill(torch.ones_like(x, dtype=torch.bool), torch.nan), "NaN or infinity"),
        (lambda x: x.numpy(), "a ndarray; give a torch tensor"),
    ],
)
def test_what_are_no_pictures_in_range_is_refused(folders, wrong, message):
    images, observed = picture(1, 16, 16)
    with pytest.raises(InputError, match=message):
        opened(folders, "fill").complete(wrong(images), observed)


def test_a_run_that_composites_asks_which_pixels_are_observed(folders):
    images, _ = picture(1, 16, 16)
    with pytest.raises(InputError, match="must know which pixels are observed; say it with `observed`"):
        opened(folders, "fill").complete(images)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_run_knows_which_way_round_its_masks_were(tmp_path, inverted):
    arriving = (f"data.source.source={tmp_path}", "data.source.masks=masks", f"data.source.invert={inverted}")
    colour = "black" if inverted else "white"
    drawn = f"{{kind: mask_from_data, folder: '{tmp_path}', hidden: {colour}}}"
    several = f"{{kind: sequence, sensors: [{drawn}, {{kind: drop_rows}}]}}"
    engine = Engine(discover=False)
    assert _white_is_known(engine.load("incomplete_faces", *arriving)) == inverted
    for sensor in (drawn, several):
        plan = engine.load("quickstart", f"measurement={sensor}", "data.flip=false", "composite=false")
        assert _white_is_known(plan) == inverted
