"""Worlds whose law is known: through a sensor it is learnt rightly, and not from measurements as pictures."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from ambientkit import Component, Context, Dataset, Engine, Generator, Options, hookimpl

AMBIENTKIT_HOOK_API = 1
namespace = "toys"


class WorldOptions(Options):
    """Pictures of one row."""

    world: str
    """Which."""
    count: int = 4096
    """How many."""

    def facts(self):
        return frozenset({"clean"})


def two_pixels(n, generator):
    """Two pixels that are alike: both .8 (7 of 10) or both -.6."""
    bright = torch.rand(n, 1, generator=generator) < 0.7
    return torch.where(bright, 0.8, -0.6).expand(n, 2)


MEAN = torch.tensor([0.1, -0.2])
ROOT = torch.tensor([[0.3, 0.0], [0.2, 0.1]])  # covariance ROOT ROOT^T


def gaussian(n, generator):
    return MEAN + torch.randn(n, 2, generator=generator) @ ROOT.T


WORLDS = {"two_pixels": two_pixels, "gaussian": gaussian}


class World(Dataset):
    def __init__(self, options):
        self.keys = [f"{number}" for number in range(options.count)]
        self.image_shape, self.value_range = (1, 1, 2), (-1.0, 1.0)
        self.fingerprint = repr(options)
        drawn = WORLDS[options.world](options.count, torch.Generator().manual_seed(0))
        self.pictures = drawn.reshape(-1, 1, 1, 2)

    def images(self, indices):
        return self.pictures[list(indices)]


class MakerOptions(Options):
    """Two numbers from a latent."""

    linear: bool = False
    """Without hidden layers: what it makes is exactly Gaussian."""

    def facts(self):
        return frozenset({"latent"})


class Maker(nn.Module, Generator):
    completes = False

    def __init__(self, linear):
        super().__init__()
        hidden = [nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2)]
        self.layers = nn.Linear(2, 2) if linear else nn.Sequential(*hidden)

    def latent_shape(self, image_shape):
        return (2,)

    def forward(self, measured, latent):
        return self.layers(latent).view(-1, 1, 1, 2)


@hookimpl
def register_datasets():
    yield Component("world", WorldOptions, lambda options, context: World(options))


@hookimpl
def register_generators():
    yield Component("maker", MakerOptions, lambda options, context: Maker(options.linear))


def learnt(tmp_path, world, sensor, linear, ignore=False, steps=1200):
    """4,000 samples (n, 2) of a generator that learnt the world through the sensor, or ignoring it."""
    engine = Engine(plugins=[sys.modules[__name__]], discover=False, cache_dir=tmp_path / "cache")
    recipe = {
        "recipe": 1,
        "name": world,
        "data": {"source": {"kind": "toys/world", "world": world}},
        "measurement": sensor,
        "generator": {"kind": "toys/maker", "linear": linear},
        "composite": False,
        "discriminator": {"kind": "mlp", "widths": [32, 32]},
        "objective": {"kind": "rpgan", "r1": 0.1, "r2": 0.1},
        "train": {
            "steps": steps,
            "batch_size": 128,
            "ema_decay": 0.98,
            "generator_optimizer": {"kind": "adam", "lr": 2e-3, "betas": [0.0, 0.99]},
            "discriminator_optimizer": {"kind": "adam", "lr": 4e-3, "betas": [0.0, 0.99]},
            "schedules": {"learning_rate": {"start": 1, "end": 0.05, "shape": "cosine"}},
        },
    }
    if ignore:
        recipe = measured_as_pictures(engine, recipe, tmp_path)
    run = engine.run(recipe, out=tmp_path / "runs", device="cpu", precision="fp32")
    return made(engine, run.folder)


def measured_as_pictures(engine, recipe, tmp_path):
    """The same recipe over the measurements themselves, with a sensor that does nothing."""
    world = World(WorldOptions(world=recipe["name"]))
    options = {name: value for name, value in recipe["measurement"].items() if name != "kind"}
    sensor = engine.build(
        "measurement", recipe["measurement"]["kind"], context=Context((1, 2), (1, 1, 2)), **options
    )
    theta = sensor.sample(len(world.keys), (1, 1, 2), torch.Generator().manual_seed(1))
    WORLDS["given"] = lambda n, generator: sensor.measure(world.pictures, theta)[:n].flatten(1)
    source = {"kind": "toys/world", "world": "given"}
    return recipe | {"name": "given", "data": {"source": source}, "measurement": {"kind": "identity"}}


def made(engine, folder):
    """What the generator makes, before anything is cut to [-1, 1]."""
    run = engine.open(folder, device="cpu")
    with torch.no_grad():
        return run.network(None, torch.randn(4000, 2, generator=torch.Generator().manual_seed(2))).flatten(1)


DROPS = {"kind": "block_pixels", "p": 0.5, "per": "channel", "fill": 0.0}
NOISE = {"kind": "gaussian_noise", "sigma": 0.3}


def near(samples, point, radius=0.25):
    return float(((samples - torch.tensor(point)).norm(dim=1) < radius).float().mean())


def test_two_pixels_that_are_alike_are_learnt_where_half_of_them_are_lost(tmp_path):
    samples = learnt(tmp_path, "two_pixels", DROPS, linear=False)
    bright, dark = near(samples, [0.8, 0.8]), near(samples, [-0.6, -0.6])
    assert bright + dark > 0.85
    assert bright == pytest.approx(0.7, abs=0.12)


def test_taken_for_pictures_they_are_not(tmp_path):
    samples = learnt(tmp_path, "two_pixels", DROPS, linear=False, ignore=True)
    assert near(samples, [0.8, 0.8]) + near(samples, [-0.6, -0.6]) < 0.45, "half of what was lost is black"
    assert near(samples, [0.0, 0.0]) > 0.1


def test_a_gaussian_is_learnt_through_noise(tmp_path):
    samples = learnt(tmp_path, "gaussian", NOISE, linear=True)
    torch.testing.assert_close(samples.mean(0), MEAN, atol=0.04, rtol=0)
    torch.testing.assert_close(torch.cov(samples.T), ROOT @ ROOT.T, atol=0.03, rtol=0)


def test_taken_for_a_picture_the_noise_is_learnt_too(tmp_path):
    samples = learnt(tmp_path, "gaussian", NOISE, linear=True, ignore=True)
    excess = torch.cov(samples.T) - ROOT @ ROOT.T
    torch.testing.assert_close(excess, 0.09 * torch.eye(2), atol=0.03, rtol=0)
