"""Measurements that are no pictures, from the store to the discriminator."""

from __future__ import annotations

import json

import pytest
import torch
from ambientkit_plugins.vectors.network import MlpDiscriminator

from ambientkit import Component, Context, Engine, Measurement, Options, View, hookimpl
from ambientkit.assembly import prepare_data
from ambientkit.errors import DataError, PluginError

SHAPE = (3, 16, 16)


class TiltedSums(Measurement):
    """Sums along rows or columns, whichever is drawn, which the instrument reports; noise beside it."""

    def measured_shape(self, image_shape):
        return (image_shape[0] * image_shape[1],)

    def sample(self, n, image_shape, generator):
        noise = torch.randn(n, image_shape[0] * image_shape[1], generator=generator)
        return {"turned": torch.rand(n, 1, generator=generator).round(), "noise": 0.1 * noise}

    def measure(self, images, theta):
        turned = theta["turned"].view(-1, 1, 1)
        return torch.lerp(images.sum(3), images.sum(2), turned).flatten(1) / 16 + theta["noise"]

    def known(self, theta):
        return {"turned": theta["turned"]}


class SumsOptions(Options):
    """Tilted sums."""

    def facts(self):
        return frozenset({"random", "reshapes"})


class Vectors:
    """A plugin with a vector sensor."""

    AMBIENTKIT_HOOK_API = 1
    namespace = "tests"

    @hookimpl
    def register_measurements(self):
        yield Component("sums", SumsOptions, lambda options, context: TiltedSums())


def recipe(**changes):
    return {
        "recipe": 1,
        "name": "sums",
        "data": {"source": {"kind": "toy_faces", "count": 40}, "image_size": [16, 16], "holdout": 8},
        "measurement": {"kind": "tests/sums"},
        "generator": {"kind": "dcgan", "width": 4, "latent": 8},
        "composite": False,
        "discriminator": {"kind": "mlp", "widths": [12, 12]},
        "objective": {"kind": "non_saturating"},
        "train": {"steps": 3, "batch_size": 8, "checkpoints": {"every": 1}},
        "callbacks": [{"kind": "image_grid", "every": 1}],
        **changes,
    }


@pytest.fixture
def vectors(tmp_path):
    return Engine(plugins=[Vectors()], discover=False, cache_dir=tmp_path / "cache")


def test_vectors_train_from_the_store_to_the_grid_and_resume_to_the_bit(vectors, tmp_path):
    whole = vectors.run(recipe(), out=tmp_path / "whole")
    record = json.loads((whole.folder / "run.json").read_text())
    assert record["measured_shape"] == [48]
    assert record["known_shapes"] == {"turned": [1]}
    assert len(list((whole.folder / "samples").glob("*.png"))) == 3
    part = vectors.run(recipe(), out=tmp_path / "part")
    for step in (2, 3):  # as if it had been killed after the first step
        for file in (part.folder / "checkpoints" / f"step-{step:07d}").iterdir():
            file.unlink()
        (part.folder / "checkpoints" / f"step-{step:07d}").rmdir()
    vectors.resume(part.folder, checkpoint="step-0000001")
    last = "checkpoints/step-0000003/discriminator.safetensors"
    assert (whole.folder / last).read_bytes() == (part.folder / last).read_bytes()
    assert vectors.open(whole.folder).generate(2).shape == (2, *SHAPE)


def test_the_store_gives_back_what_was_measured_and_reported(vectors, tmp_path):
    data, _ = prepare_data(vectors.load(recipe()), tmp_path / "cache")
    batch = data.samples.batch(torch.arange(6), 0)
    assert batch.y.shape == (6, 48)
    assert batch.y.dtype == torch.float32
    assert batch.known["turned"].shape == (6, 1)
    assert set(batch.known["turned"].flatten().tolist()) <= {0.0, 1.0}
    assert batch.observed is None
    assert data.context.known_shapes == {"turned": (1,)}


def test_the_gradient_reaches_the_generator_through_a_vector(vectors, tmp_path):
    sensor = TiltedSums()
    theta = sensor.sample(4, SHAPE, torch.Generator().manual_seed(0))
    images = torch.zeros(4, *SHAPE, requires_grad=True)
    network = MlpDiscriminator((48,), {"turned": (1,)}, widths=(8,))
    network(View(sensor.measure(images, theta), None, sensor.known(theta))).sum().backward()
    assert (images.grad != 0).any(1).all()


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("widths", [(), (5,), (25, 25)])
def test_any_shape_is_scored(widths, spectral_norm):
    for shape in [(7,), (2, 9), (1, 3, 20)]:
        network = MlpDiscriminator(shape, {}, widths=widths, spectral_norm=spectral_norm).eval()
        y = torch.randn(3, *shape)
        scores = network(View(y))
        assert scores.shape == (3,)
        alone = torch.cat([network(View(y[i : i + 1])) for i in range(3)])
        assert torch.allclose(scores, alone, atol=1e-6)


def test_what_is_known_counts_whatever_the_order_of_its_names():
    network = MlpDiscriminator((4,), {"b": (2,), "a": (1,)}, widths=(6,))
    y, a, b = torch.randn(3, 4), torch.randn(3, 1), torch.randn(3, 2)
    scores = network(View(y, None, {"a": a, "b": b}))
    assert torch.equal(scores, network(View(y, None, {"b": b, "a": a, "more": a})))
    assert not torch.equal(scores, network(View(y, None, {"a": a + 1, "b": b})))
    with pytest.raises(PluginError, match="came without 'a'"):
        network(View(y, None, {"b": b}))


def test_the_options_build_it(engine):
    context = Context(measured_shape=(10,), known_shapes={"angle": (2,)})
    assert engine.build("discriminator", "mlp", context=context).layers[0].in_features == 12
    assert engine.build("discriminator", "mlp", context=context, known=False).layers[0].in_features == 10
    with pytest.raises(PluginError, match="shape is not known"):
        engine.build("discriminator", "mlp")


def test_networks_for_pictures_refuse_vectors_and_say_what_takes_them(vectors, tmp_path):
    with pytest.raises(DataError, match="use the discriminator mlp"):
        vectors.run(recipe(discriminator={"kind": "dcgan", "mask_channel": False}), out=tmp_path)
    context = Context(image_shape=SHAPE, measured_shape=(48,))
    with pytest.raises(PluginError, match="unet reads measurements as large as the pictures"):
        vectors.build("generator", "unet", context=context)
    reads_two = vectors.build(
        "generator", "unet", context=Context(image_shape=SHAPE, measured_shape=(6, 16, 16))
    )
    assert reads_two.layers[0][0].in_channels == 7
