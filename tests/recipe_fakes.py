"""A small registry of components that build nothing, for the tests of recipes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from pydantic import Field, model_validator

from ambientkit.names import did_you_mean
from ambientkit.registry import Complaint, Component, Options, Registered, Registry

BASE: dict[str, Any] = {
    "recipe": 1,
    "name": "base",
    "data": {"source": {"kind": "faces"}, "image_size": [32, 32], "holdout": 8},
    "measurement": {"kind": "block", "size": 8},
    "generator": {"kind": "net"},
    "discriminator": {"kind": "critic"},
    "objective": {"kind": "game"},
    "train": {"steps": 10, "batch_size": 8},
}


def options(name: str, facts: set[str] | None, **fields: Any) -> type[Options]:
    """An options class that declares `facts`."""

    def declared(self: Options) -> frozenset[str] | None:
        return None if facts is None else frozenset(facts)

    annotations = {key: annotation for key, (annotation, _) in fields.items()}
    values = {key: default for key, (_, default) in fields.items() if default is not ...}
    body = {"__annotations__": annotations, "__doc__": f"{name}.", "facts": declared, "__module__": __name__}
    return type(name, (Options,), {**body, **values})


class BlockOptions(Options):
    """Hides a block."""

    size: int = Field(ge=1)
    """Side in pixels."""
    fill: float = Field(default=1.0, ge=-1, le=1)
    """Value of hidden pixels."""
    window: int | tuple[int, int] | Literal["all"] = "all"
    """A union of types."""

    def facts(self):
        return frozenset({"exact", "observed", "random", "flip"})

    def complaints(self, context):
        if context.image_size and self.size > min(context.image_size):
            yield Complaint("size", "too large for the picture", "use a smaller one")
        elif context.image_size and self.size * 2 > min(context.image_size):
            yield Complaint("size", "the middle is never seen", warning=True)
        if "generator:batch_norm" in context.facts and self.fill == 0.5:
            yield Complaint("fill", "the generator has batch norm")


class BrokenOptions(Options):
    """Fails when it is asked."""

    def facts(self):
        raise ZeroDivisionError("asked for facts")


class GrumblingOptions(Options):
    """Fails when it is asked what cannot work."""

    def facts(self):
        return frozenset({"exact", "observed"})

    def complaints(self, context):
        raise ZeroDivisionError("asked for complaints")


class StrictOptions(Options):
    """Has validators of its own, one of them faulty."""

    low: int = Field(default=2, multiple_of=2)
    """Even."""
    high: int = Field(default=4, lt=10, gt=-10)
    """Not below `low`."""
    text: str = Field(default="ab", min_length=1, max_length=3)
    """Short."""
    sizes: list[int] = Field(default=[1], min_length=1, max_length=2)
    """One or two."""
    mode: Literal[1, 2] = 1
    """A number of few."""
    day: date = date(2020, 1, 1)
    """A type that the messages have no words of their own for."""

    @model_validator(mode="after")
    def _ordered(self):
        if self.high == 0:
            raise ZeroDivisionError("a faulty validator")
        if self.high < self.low:
            raise ValueError("high is below low")
        return self

    def facts(self):
        return frozenset({"exact", "observed"})


class Undeclared:
    """A sensor whose options declare nothing."""

    random, exact, symmetric = True, True, frozenset({"flip"})

    def measured_shape(self, image_shape):
        return image_shape

    def observed(self, theta, image_shape):
        return None


NORM = {"norm": (Literal["none", "batch"], "none"), "width": (int, 8)}
TABLE: dict[str, dict[str, type[Options]]] = {
    "dataset": {
        "faces": options("Faces", {"clean"}, count=(int, 64)),
        "holes": options("Holes", {"measured", "observed"}),
        "sums": options("Sums", {"measured"}),
        "plain": options("Plain", None),
    },
    "measurement": {
        "block": BlockOptions,
        "keep": options("Keep", {"exact", "observed"}, size=(int, 4), keep=(int, 1)),
        "noise": options("Noise", {"random"}),
        "grain": options("Grain", {"observed", "random"}),
        "projection": options("Projection", {"random", "reshapes"}),
        "threshold": options("Threshold", {"no_gradient"}),
        "dim": options("Dim", {"exact", "random"}),
        "from_data": options("FromData", {"exact", "observed", "random", "needs_data_masks"}),
        "undeclared": options("UndeclaredOptions", None),
        "unbuildable": options("Unbuildable", None, nothing=(int, 0)),
        "broken": BrokenOptions,
        "misspelt": options("Misspelt", {"exact", "obsreved"}),
        "strict": StrictOptions,
        "grumbling": GrumblingOptions,
        "fog/haze": options("Haze", {"random"}, beta=(float, ...)),
    },
    "generator": {
        "net": options("Net", {"completes"}, width=(int, 8)),
        "net_bn": options("NetBn", {"completes", "batch_norm"}),
        "latent": options("Latent", {"latent"}),
        "plain": options("PlainNet", None),
    },
    "discriminator": {"critic": options("Critic", set(), **NORM), "critic_bn": options("C2", {"batch_norm"})},
    "objective": {
        "game": options("Game", set()),
        "penalty": options("Penalty", {"gradient_penalty"}),
        "clip": options("Clip", {"clips_weights"}),
    },
    "fidelity": {
        "held_out": options(
            "HeldOut", {"needs_further", "needs_observed", "needs_exact"}, norm=(Literal["l1", "l2"], "l1")
        ),
        "consistency": options("Consistency", {"needs_completion"}),
        "energy": options("Energy", {"needs_completion", "needs_latent"}),
        "matching": options("Matching", {"needs_features"}),
        "again": options("Again", {"vanishes_composited"}),
    },
    "metric": {
        "truth": options("Truth", {"truth"}),
        "seam": options("Seam", {"observed"}),
        "spread": options("Spread", set()),
        "must": options("Must", set(), level=(int, ...)),
    },
    "callback": {"grid": options("Grid", set(), every=(int, 5))},
}


@dataclass
class FakePlugins:
    """Stands in for `ambientkit.plugins.Plugins`."""

    registry: Registry = field(default_factory=Registry)

    def __post_init__(self) -> None:
        self.registry.add(
            Registered(category, name, Component(name, model, _build), "the tests")
            for category, table in TABLE.items()
            for name, model in table.items()
        )

    def explain_missing(self, category: str, name: str) -> str:
        return did_you_mean(name, self.registry.names(category)) or f"no {category} has that name"


def _build(given: Options, context: Any) -> Any:
    if hasattr(given, "nothing"):
        raise RuntimeError("no sensor today")
    return Undeclared()


def changed(**changes: Any) -> dict[str, Any]:
    """`BASE` with top-level keys replaced; None leaves null."""
    return {**BASE, **changes}


def train(**changes: Any) -> dict[str, Any]:
    """The train section of `BASE` with keys replaced."""
    return {**BASE["train"], **changes}


def data(**changes: Any) -> dict[str, Any]:
    """The data section of `BASE` with keys replaced."""
    return {**BASE["data"], **changes}
