"""Recipes that train in a second, for the engine's tests."""

from __future__ import annotations

from typing import Any


def tiny(**changes: Any) -> dict[str, Any]:
    """A recipe that trains in a second."""
    recipe: dict[str, Any] = {
        "recipe": 1,
        "name": "tiny",
        "data": {"source": {"kind": "toy_faces", "count": 40}, "image_size": [16, 16], "holdout": 8},
        "measurement": {"kind": "block_patch", "size": 6},
        "generator": {"kind": "glcic", "width": 4, "dilations": [1, 2, 2, 2]},
        "discriminator": {"kind": "dcgan", "width": 4, "spectral_norm": True},
        "objective": {"kind": "hinge"},
        "train": {"steps": 2, "batch_size": 4},
    }
    return merged(recipe, changes)


def fidelity_only(**changes: Any) -> dict[str, Any]:
    """`tiny` without an adversarial game and with the smallest generator."""
    bare = {
        "generator": {"kind": "fakes/net"},
        "discriminator": None,
        "objective": None,
        "fidelity": [{"kind": "fakes/pull"}],
    }
    return tiny(**{**bare, **changes})


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        fresh_kind = isinstance(value, dict) and "kind" in value
        merge = isinstance(value, dict) and isinstance(old, dict) and not fresh_kind
        result[key] = merged(old, value) if merge else value
    return result


FURTHER = {"measurement": {"kind": "block_patch", "size": 6}, "probability": 0.7}

BLOCK = {"kind": "block_patch", "size": 6}
NUMBERS = {"kind": "fakes/numbers"}


def numbers(measurement: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A recipe over float pictures that trains on a fidelity alone."""
    recipe = fidelity_only(
        data={"source": {"kind": "fakes/numbers", "count": 32}, "image_size": None, "holdout": 0},
        measurement=measurement,
    )
    return merged(recipe, changes)


def noisy(**changes: Any) -> dict[str, Any]:
    """A recipe with a sensor that adds noise and reports its gain."""
    game = {
        "composite": False,
        "discriminator": {"kind": "fakes/critic"},
        "objective": {"kind": "hinge"},
        "fidelity": [],
    }
    return numbers({"kind": "fakes/noisy"}, **{**game, **changes})
