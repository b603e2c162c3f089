"""The recipe's section about the loop: its length, its optimisers, its phases and what changes on the way.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from ambientkit.descriptions import Described

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Section(Described):
    """Base of the recipe's own sections."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        defer_build=True,  # until a recipe is read: `--help` needs none of it
    )


class Adam(Section):
    """Adam (Kingma and Ba 2015)."""

    kind: Literal["adam", "adamw"] = "adam"
    """`adam`, or `adamw`, whose weight decay is apart from the gradient."""
    lr: float = Field(default=2e-4, gt=0)
    """Learning rate."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.5, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Pull of the weights to zero."""


class RMSprop(Section):
    """RMSprop, as WGAN with weight clipping used it."""

    kind: Literal["rmsprop"]
    """Always `rmsprop`."""
    lr: float = Field(default=5e-5, gt=0)
    """Learning rate."""
    alpha: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the running mean of the squared gradient."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Pull of the weights to zero."""


class SGD(Section):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"]
    """Always `sgd`."""
    lr: float = Field(gt=0)
    """Learning rate."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the last step that is kept."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Pull of the weights to zero."""


class Adadelta(Section):
    """Adadelta, as GLCIC used it."""

    kind: Literal["adadelta"]
    """Always `adadelta`."""
    lr: float = Field(default=1.0, gt=0)
    """Factor of the step."""
    rho: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the running means."""
    eps: float = Field(default=1e-6, gt=0)
    """Added under both roots."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Pull of the weights to zero."""


def _kind(section: Any) -> Any:
    return section.get("kind", "adam") if isinstance(section, Mapping) else getattr(section, "kind", None)


Optimizer = Annotated[
    Annotated[Adam, Tag("adam")]
    | Annotated[Adam, Tag("adamw")]
    | Annotated[RMSprop, Tag("rmsprop")]
    | Annotated[SGD, Tag("sgd")]
    | Annotated[Adadelta, Tag("adadelta")],
    Discriminator(_kind),
]


class CheckpointSection(Section):
    """When checkpoints are written and which are kept."""

    every: Count | None = None
    """Steps between checkpoints; null: at the end only (and when a signal ends the run)."""
    keep: Count = 3
    """How many of the latest are kept."""
    best: str | None = None
    """Keep also the best by this metric, which must be among `metrics`."""


class Ramp(Section):
    """A number that changes on the way, as a function of the share of the run that is done."""

    start: float = Field(ge=0)
    """Its value up to `begin`."""
    end: float = Field(ge=0)
    """Its value from `until` on."""
    begin: float = Field(default=0.0, ge=0, le=1)
    """Share of the run after which it starts to change."""
    until: float = Field(default=1.0, ge=0, le=1)
    """Share of the run at which it has changed."""
    shape: Literal["linear", "cosine"] = "linear"
    """`linear`, or `cosine`: half a wave, level at both ends."""

    @model_validator(mode="after")
    def _in_order(self) -> Ramp:
        if self.begin >= self.until:
            raise ValueError(f"'begin' ({self.begin}) must lie before 'until' ({self.until})")
        return self

    def at(self, share: float) -> float:
        """The value when `share` of the run is done, in [0, 1]."""
        way = min(1.0, max(0.0, (share - self.begin) / (self.until - self.begin)))
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        return self.start + (self.end - self.start) * way


class Decay(Ramp):
    """A ramp between decays, which lie in [0, 1)."""

    start: float = Field(ge=0, lt=1)
    """Its value up to `begin`."""
    end: float = Field(ge=0, lt=1)
    """Its value from `until` on."""


class SchedulesSection(Section):
    """What changes on the way; null: it stays as it is. Each is a function of the step alone."""

    learning_rate: Ramp | None = None
    """Factor of both learning rates."""
    beta2: Decay | None = None
    """Adam's decay of the mean squared gradient, in place of the second of `betas`."""
    penalty: Ramp | None = None
    """Factor of the objective's gradient penalties."""
    ema: Decay | None = None
    """Decay of the averaged generator, in place of `ema_decay`."""


class PhaseSection(Section):
    """A part of the run in which one player trains, or both."""

    share: float = Field(gt=0, le=1)
    """Its share of the run's steps."""
    players: Literal["generator", "discriminator", "both"] = "both"
    """Who is updated. Alone, the generator learns from its fidelities and not from the game."""


class TrainSection(Section):
    """The loop: how long, how much at a time, and who is updated how often."""

    epochs: float | None = Field(default=None, gt=0)
    """Length in epochs of len(data) // batch_size steps; give this or `steps`."""
    steps: Count | None = None
    """Length in steps; give this or `epochs`."""
    batch_size: Count = 64
    """Pictures in a batch, over all processes."""
    accumulate: Count = 1
    """Split each batch in so many parts and add up their gradients, to save memory; each part has its own
    means (batch norm, `held_out`, `feature_matching`)."""
    discriminator_updates: Count = 1
    """Discriminator updates a step."""
    generator_updates: Count = 1
    """Generator updates a step."""
    batches: Literal["shared", "fresh"] = "shared"
    """`shared`: one batch a step for all its updates; `fresh`: one for each. theta' is always fresh."""
    share_forward: bool = False
    """One forward pass of the generator a step serves both updates, which then have theta' and latent in
    common. Saves about a quarter of the arithmetic; needs one update of each player, and shared batches."""
    sync_batch_norm: bool = False
    """Batch norms of both networks take their statistics over all processes of a run, and not each over its
    share of the batch, or of each part with `accumulate`. With one process it changes nothing."""
    generator_optimizer: Optimizer = Adam()
    """The generator's optimiser."""
    discriminator_optimizer: Optimizer = Adam()
    """The discriminator's optimiser."""
    ema_decay: float | None = Field(default=0.999, ge=0, lt=1)
    """Decay of the averaged generator that is evaluated and used; null: none is kept."""
    schedules: SchedulesSection = SchedulesSection()
    """What changes on the way."""
    phases: tuple[PhaseSection, ...] = ()
    """Who trains when, in order; their shares add up to 1. None: both players, all the way."""
    gradient_clip: float | None = Field(default=None, gt=0)
    """Largest gradient norm of either network; null: not clipped."""
    init_from: str | None = None
    """A run folder whose weights to begin with; shapes must fit."""
    checkpoints: CheckpointSection = CheckpointSection()
    """When checkpoints are written."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainSection:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either 'epochs' or 'steps'")
        return self

    @model_validator(mode="after")
    def _one_forward(self) -> TrainSection:
        alone = self.discriminator_updates == self.generator_updates == self.accumulate == 1
        if self.share_forward and not (alone and self.batches == "shared"):
            raise ValueError(
                "'share_forward' needs discriminator_updates: 1, generator_updates: 1, accumulate: 1 and "
                "batches: shared"
            )
        return self

    @model_validator(mode="after")
    def _whole_run(self) -> TrainSection:
        total = sum(phase.share for phase in self.phases)
        if self.phases and not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"the shares of 'phases' add up to {total:g}; they must add up to 1")
        return self
