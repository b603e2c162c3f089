"""`discriminator_data`: clean pictures of another set as what is real, and the label that says so."""

import pytest
import torch
from ambientkit_plugins.masks.sensors import BlockPatch
from PIL import Image

from ambientkit.errors import DataError, RecipeError
from ambientkit.interfaces import Measured
from ambientkit.round_trip import Draws, Method, round_trip, views

UNPAIRED = {
    "discriminator": {"kind": "dcgan", "width": 4, "mask_channel": False},
    "discriminator_data": {"source": {"kind": "toy_faces", "count": 24, "seed": 5}},
}


def test_clean_pictures_are_compared_with_completed_ones_and_nothing_is_measured():
    sensor = BlockPatch((4, 4), 1.0)
    theta = sensor.sample(2, (1, 8, 8), torch.Generator().manual_seed(0))
    y = sensor.measure(torch.rand(2, 1, 8, 8), theta)
    real = Measured(y, sensor.observed(theta, (1, 8, 8)))
    clean, region = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8) < 0.5
    draws = Draws(sensor.sample(2, (1, 8, 8), torch.Generator()), region=region, reference=clean)
    trip = round_trip(Method(sensor, None, True, (1, 8, 8)), lambda seen, _: seen.y * 0 - 0.5, real, draws)
    one, other = views(real, trip, draws)
    assert one.y is clean and one.region is region and one.observed is one.known is None
    assert other.y is trip.completed and other.observed is other.known is None
    assert torch.equal(other.region, ~real.observed)


def test_it_runs_resumes_and_says_what_it_saw(engine, tiny, tmp_path):
    recipe = tiny(train={"steps": 2, "checkpoints": {"every": 1}}) | UNPAIRED
    whole = engine.run(recipe, out=tmp_path / "whole")
    assert whole.labels == ("its discriminator sees clean pictures (discriminator_data)",)
    part = engine.run(recipe, out=tmp_path / "part")
    engine.resume(part.folder, checkpoint="step-0000001")
    last = "checkpoints/step-0000002/discriminator.safetensors"
    assert (whole.folder / last).read_bytes() == (part.folder / last).read_bytes()


def test_other_clean_pictures_make_another_discriminator_and_the_same_first_generator(ready, tiny):
    one = ready(tiny() | UNPAIRED).trainer
    other = ready(
        tiny() | UNPAIRED | {"discriminator_data": {"source": {"kind": "toy_faces", "count": 30, "seed": 9}}}
    ).trainer
    assert torch.equal(one._batch(0).y, other._batch(0).y)
    assert not torch.equal(one._reference(0), other._reference(0))
    assert torch.equal(one._reference(3), one._reference(3))


def test_one_folder_for_both_never_shows_a_held_out_picture(ready, tiny):
    """The same pictures on both sides: what is held out of training is held out of the clean ones."""
    source = {"kind": "toy_faces", "count": 40}
    trainer = ready(tiny() | UNPAIRED | {"discriminator_data": {"source": source}}).trainer
    assert len(trainer.references.samples) == 32 == len(trainer.batches.samples)
    shown = trainer.references.samples.batch(torch.arange(32), 0).y
    truth = next(trainer.held_out.batches(8))[1]
    assert not (shown[:, None] == truth[None]).flatten(2).all(2).any()
    all_of_them = {"source": source, "holdout": 0}
    trainer = ready(tiny() | UNPAIRED | {"discriminator_data": all_of_them}).trainer
    assert len(trainer.references.samples) == 40


def test_a_larger_folder_with_the_held_out_pictures_in_it_does_not_show_them(ready, tiny, tmp_path):
    """Which pictures the smallest hashes are depends on the folder: their names do not."""
    for folder, count in (("few", 20), ("many", 60)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / folder / f"{number:03d}.png")

    def source(folder):
        return {"kind": "image_folder", "root": str(tmp_path / folder)}

    recipe = tiny(data={"source": None, "holdout": 8}) | UNPAIRED
    recipe["data"]["source"] = source("few")
    trainer = ready(recipe | {"discriminator_data": {"source": source("many")}}).trainer
    shown = trainer.references.samples.batch(torch.arange(len(trainer.references.samples)), 0).y
    truth = next(trainer.held_out.batches(8))[1]
    assert len(truth) == 8 and len(shown) >= 60 - 2 * 8
    assert not (shown[:, None, 0, 0, 0] == truth[None, :, 0, 0, 0]).any()


def test_pictures_of_another_shape_are_refused(engine, tiny, tmp_path):
    recipe = tiny() | UNPAIRED | {"discriminator_data": {"source": {"kind": "fakes/numbers"}}}
    with pytest.raises(DataError, match=r"pictures of \(1, 16, 16\), the training data of \(3, 16, 16\)"):
        engine.run(recipe, out=tmp_path)


def test_a_mask_channel_has_nothing_to_show(engine, tiny, tmp_path):
    recipe = tiny() | UNPAIRED | {"discriminator": {"kind": "dcgan", "width": 4}}
    with pytest.raises(RecipeError, match="mask_channel: false"):
        engine.run(recipe, out=tmp_path)
