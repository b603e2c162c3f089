"""A plugin for the engine's tests, small recipes, and helpers that look into runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from engine_recipes import BLOCK, FURTHER, NUMBERS, fidelity_only, noisy, numbers, tiny  # noqa: F401
from safetensors.torch import load
from torch import nn

from ambientkit import (
    Component,
    Dataset,
    Engine,
    Evaluated,
    Fidelity,
    Generator,
    MaskingMeasurement,
    Measured,
    Measurement,
    Metric,
    Options,
    hookimpl,
)
from ambientkit.machine import choose
from ambientkit.plugins import lifecycle
from ambientkit.preparation import Prepared, prepare
from ambientkit.trainer import Trainer

AMBIENTKIT_HOOK_API = 1
namespace = "fakes"
calls: dict[str, int] = {"measure": 0}


class NumbersOptions(Options):
    """Float pictures in [0, 1], each made of its own name alone."""

    count: int = 32
    """How many."""
    shift: int = 0
    """Number of the first."""
    backwards: bool = False
    """Hand them out in the other order."""
    folders: bool = False
    """All have one file name, each in a folder of its own."""


class Numbers(Dataset):
    value_range = (0.0, 1.0)

    def __init__(self, options: NumbersOptions) -> None:
        span = range(options.shift, options.shift + options.count)
        keys = [f"{i}/same.png" if options.folders else f"{i}.png" for i in span]
        self.keys = keys[::-1] if options.backwards else keys
        self.image_shape = (1, 16, 16)
        self.fingerprint = f"numbers {options!r}"

    def images(self, indices: Sequence[int]) -> torch.Tensor:
        return torch.stack([self._image(self.keys[i]) for i in indices])

    def _image(self, key: str) -> torch.Tensor:
        seed = int(hashlib.sha256(key.encode()).hexdigest()[:12], 16)
        return torch.rand(self.image_shape, generator=torch.Generator().manual_seed(seed))


class ArrivedOptions(Options):
    """Pictures that arrive measured; where they are hidden they hold what nobody may read."""

    as_float: bool = True
    """float32 in [-1, 1], else uint8."""
    offset: int = 0
    """Changes the fingerprint."""

    def facts(self):
        return frozenset({"measured", "observed"})


class Arrived(Dataset):
    arrives_measured = True

    def __init__(self, options: ArrivedOptions) -> None:
        self.image_shape = (1, 16, 16)
        self.keys = [f"{i}.png" for i in range(24)]
        self.fingerprint = f"arrived {options!r}"
        self.as_float = options.as_float

    def measured(self, indices: Sequence[int]) -> Measured:
        y = torch.full((len(indices), 1, 16, 16), 0.25)
        observed = torch.ones(len(indices), 1, 16, 16, dtype=torch.bool)
        for row, index in enumerate(indices):
            observed[row, :, index % 8 : index % 8 + 8, 4:12] = False
        y = torch.where(observed, y, 0.77)  # the secret
        return Measured(y if self.as_float else ((y + 1) * 127.5).round().to(torch.uint8), observed)


class NoisyOptions(Options):
    """y = gain * x + noise; the instrument reports the gain, and the noise is nuisance."""

    def facts(self):
        return frozenset({"random"})


class Noisy(Measurement):
    def sample(self, n, image_shape, generator):
        gain = 0.5 + torch.rand(n, 1, 1, 1, generator=generator)
        return {"gain": gain, "noise": 0.3 * torch.randn(n, *image_shape, generator=generator)}

    def measure(self, images, theta):
        calls["measure"] += len(images)
        return theta["gain"] * images + theta["noise"]

    def known(self, theta):
        return {"gain": theta["gain"]}


class HalfOptions(Options):
    """Hides the left or the right half, with a fill, and reports which."""

    fill: float = 0.0
    """Value of hidden pixels."""

    def facts(self):
        return frozenset({"exact", "observed", "random"})


class Half(MaskingMeasurement):
    def __init__(self, fill: float) -> None:
        self.fill = fill

    def sample(self, n, image_shape, generator):
        return {"right": torch.rand(n, generator=generator) < 0.5}

    def observed(self, theta, image_shape):
        left = torch.arange(image_shape[-1], device=theta["right"].device) < image_shape[-1] // 2
        return (left == theta["right"].view(-1, 1, 1, 1)).expand(-1, 1, *image_shape[-2:])

    def known(self, theta):
        return {"right": theta["right"]}


class RareOptions(Options):
    """Hides the corner of few pictures, and leaves something of its own there."""

    def facts(self):
        return frozenset({"exact", "observed", "random"})


class Rare(Measurement):
    exact = True

    def sample(self, n, image_shape, generator):
        return {"hit": torch.rand(n, generator=generator) < 0.2}

    def observed(self, theta, image_shape):
        seen = torch.ones(len(theta["hit"]), 1, *image_shape[-2:], dtype=torch.bool)
        seen[:, :, :4, :4] = ~theta["hit"].view(-1, 1, 1, 1)
        return seen

    def measure(self, images, theta):
        return torch.where(self.observed(theta, images.shape[1:]), images, 0.123)


class NetOptions(Options):
    """A generator of one convolution."""

    frozen_part: bool = False
    """Add a weight that takes no gradient."""
    dropout: float = 0.0
    """Share of values dropped while training."""
    norm: bool = False
    """Add batch norm."""
    bad: str = ""
    """`shape` or `raise`: what goes wrong."""

    def facts(self):
        return frozenset({"completes"} | ({"batch_norm"} if self.norm else set()))


class Net(nn.Module, Generator):
    def __init__(self, options: NetOptions, channels: int) -> None:
        super().__init__()
        self.bad = options.bad
        self.layers = nn.Sequential(
            nn.Conv2d(channels + 1, 4, 3, padding=1),
            nn.BatchNorm2d(4) if options.norm else nn.Identity(),
            nn.Dropout(options.dropout),
            nn.ReLU(),
            nn.Conv2d(4, channels, 3, padding=1),
        )

    def forward(self, measured, latent):
        if self.bad == "raise":
            raise KeyError("no such thing")
        seen = measured.observed
        hidden = torch.zeros_like(measured.y[:, :1]) if seen is None else (~seen.all(1, keepdim=True)).float()
        made = torch.tanh(self.layers(torch.cat([measured.y, hidden], 1)))
        return made[:1, :, 1:] if self.bad == "shape" else made


class CriticOptions(Options):
    """A discriminator of one convolution that takes anything."""

    frozen_part: bool = False
    """Add a weight that takes no gradient, as a pretrained part has."""


class Critic(nn.Module):
    def __init__(self, options: CriticOptions, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, 4, 4, stride=4)
        if options.frozen_part:
            self.pretrained = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, view):
        return torch.tanh(self.layer(view.y)).mean((1, 2, 3))


class BrokenOptions(Options):
    """A fidelity that is 1 until it is not a number."""

    after: int = 2
    """Calls before that."""


class Broken(Fidelity):
    def __init__(self, after: int) -> None:
        self.left = after

    def terms(self, trip, restore, measure):
        self.left -= 1
        return {"oops": trip.made.mean() * 0 + (1.0 if self.left >= 0 else float("nan"))}


class PullOptions(Options):
    """A fidelity whose every pixel counts the same: mean of made squared."""


class Pull(Fidelity):
    def terms(self, trip, restore, measure):
        return {"pull": trip.made.square().mean()}


class ConsistencyOptions(Options):
    """Completes the fake measurement again and compares, so that `restore` and `measure` are used."""


class Consistency(Fidelity):
    def terms(self, trip, restore, measure):
        again = restore(Measured(trip.y_fake, trip.observed_fake))
        return {"again": (measure(again, trip.theta_fresh) - trip.y_fake).square().mean()}


class ErrorOptions(Options):
    """Mean absolute error; smaller is better."""

    rises: bool = False
    """Score the error itself, so that the worst is best."""

    def facts(self):
        return frozenset({"truth"})


class Error(Metric):
    needs_truth = True

    def __init__(self, rises: bool) -> None:
        self.sign = 1 if rises else -1

    def per_picture(self, evaluated: Evaluated):
        return {"error": (evaluated.completed - evaluated.truth).abs().mean((1, 2, 3))}

    def summary(self, values):
        return {"mean_error": float(values["error"].mean())}

    def score(self, summary):
        return self.sign * summary["mean_error"]


@hookimpl
def register_datasets():
    yield Component("numbers", NumbersOptions, lambda options, context: Numbers(options))
    yield Component("arrived", ArrivedOptions, lambda options, context: Arrived(options))


@hookimpl
def register_measurements():
    yield Component("noisy", NoisyOptions, lambda options, context: Noisy())
    yield Component("half", HalfOptions, lambda options, context: Half(options.fill))
    yield Component("rare", RareOptions, lambda options, context: Rare())


@hookimpl
def register_generators():
    yield Component("net", NetOptions, lambda options, context: Net(options, context.image_shape[0]))


@hookimpl
def register_discriminators():
    yield Component("critic", CriticOptions, lambda options, context: Critic(options, context.image_shape[0]))


@hookimpl
def register_fidelities():
    yield Component("broken", BrokenOptions, lambda options, context: Broken(options.after))
    yield Component("pull", PullOptions, lambda options, context: Pull())
    yield Component("consistency", ConsistencyOptions, lambda options, context: Consistency())


@hookimpl
def register_metrics():
    yield Component("error", ErrorOptions, lambda options, context: Error(options.rises))


# Looking into runs ------------------------------------------------------------------------------


@dataclass
class Ready:
    """A prepared run and its trainer."""

    prepared: Prepared
    trainer: Trainer


def make_ready(engine: Engine, recipe: dict[str, Any], folder: Path, cache: Path | None = None) -> Ready:
    plan = engine.load(recipe)
    prepared = prepare(plan, choose("cpu", "fp32"), cache or folder / "cache")
    run = folder / "a_run"
    run.mkdir(exist_ok=True)
    trainer = prepared.trainer(run, lifecycle, warm=False)
    return Ready(prepared, trainer)


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a network's state."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: Any, other: Any) -> bool:
    """Whether nested mappings, lists and tensors are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def contents(checkpoint: Path) -> dict[str, Any]:
    """Every tensor and number of a checkpoint."""
    found: dict[str, Any] = {
        path.name: load(path.read_bytes()) for path in sorted(checkpoint.glob("*.safetensors"))
    }
    found["state"] = torch.load(checkpoint / "state.pt", weights_only=True)
    return found
