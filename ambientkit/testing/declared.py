"""Facts that options declare (`Options.facts`), and what can be seen of them in what is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ambientkit.errors import PluginError
from ambientkit.optim import batch_norms
from ambientkit.testing.metrics import evaluated
from ambientkit.testing.networks import offers_features, uniform
from ambientkit.testing.trips import make_trip

Seen = Iterator[tuple[str, bool]]


def seen_facts(category: str, built: Any) -> Seen:
    """(fact, whether it holds) of all that can be seen of a component; a sensor's are its own contract's.

    "this or that" holds where one of the two is declared.
    """
    look = _LOOK.get(category)
    if look is not None:
        yield from look(built)


def _dataset(built: Any) -> Seen:
    measured = bool(getattr(built, "arrives_measured", False))
    yield "measured", measured
    yield "clean", not measured
    yield "observed", measured and built.measured([0]).observed is not None


def _generator(built: Any) -> Seen:
    yield "completes", bool(built.completes)
    yield "latent", built.latent_shape((3, 32, 32)) is not None
    yield "batch_norm", bool(batch_norms(built))


def _discriminator(built: Any) -> Seen:
    yield "features", offers_features(built)
    yield "batch_norm", bool(batch_norms(built))


def _objective(built: Any) -> Seen:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        weights = layer.weight.copy_(100 * uniform(2, (2,), "weights")).clone()
        built.after_discriminator_step(nn.Sequential(layer))
    yield "clips_weights", not torch.equal(weights, layer.weight)


def _fidelity(built: Any) -> Seen:
    trip = make_trip(4, kind="unsaid")
    yield "needs_observed", _refuses(lambda: built.terms(trip.record, trip.restore, trip.measure))


def _metric(built: Any) -> Seen:
    pictures = evaluated((3, 32, 32), truth=True)
    unsaid = replace(pictures, observed=None)
    yield "truth or clean", bool(getattr(built, "needs_truth", False))
    yield "remeasured", bool(getattr(built, "needs_remeasured", False))
    yield "fills", bool(getattr(built, "needs_fills", False))
    yield "observed", _refuses(lambda: built.per_picture(unsaid))


def _refuses(call: Callable[[], object]) -> bool:
    try:
        call()
    except PluginError:
        return True
    return False


_LOOK: Mapping[str, Callable[[Any], Seen]] = {
    "dataset": _dataset,
    "generator": _generator,
    "discriminator": _discriminator,
    "objective": _objective,
    "fidelity": _fidelity,
    "metric": _metric,
}
