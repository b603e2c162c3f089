"""The contracts between the engine and its plugins; imports nothing of ours, and no torch at run time.

Each contract is a `typing.Protocol`: an object that has the members fits, whatever its base class.
Subclassing the protocol is a convenience that brings the defaults written here.

Everywhere: images are float, nominally in [-1, 1], shaped (n, C, H, W); shapes leave out the
batch axis; `observed` is True where a pixel of `y` carries information.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Shape: TypeAlias = tuple[int, ...]
Theta: TypeAlias = "dict[str, Tensor]"
Terms: TypeAlias = "dict[str, Tensor]"
Critic: TypeAlias = "Callable[[View], Tensor]"


class Restore(Protocol):
    """Complete a measurement with the current generator; without `latent`, with that of the update."""

    def __call__(self, measured: Measured, latent: Tensor | None = None, /) -> Tensor:
        """Pictures (n, C, H, W), composited if the recipe says so."""
        ...


# What travels -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """What an instrument delivered: all that training may ever see of a picture.

    `y` (n, *measured_shape); `observed` bool (n, 1 or C, H, W), or None where the sensor cannot
    say; `known` what the instrument itself reports (an angle, a place), first axis n. Noise and
    other nuisance are not in it: `y - noise` would be a clean pixel.
    """

    y: Tensor
    observed: Tensor | None = None
    known: Theta | None = None


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """What a discriminator is shown: a measurement, real or fake.

    `region`, bool (n, 1, H, W), is a place to look at closely: for a fake the pixels that were
    made, for a real an independent draw of the same law (its own hole would give it away).

    Between a real and a fake, where a gradient penalty looks, `observed` and `region` are floats in
    [0, 1]: read them by `.to(y.dtype)`, not as bool.
    """

    y: Tensor
    observed: Tensor | None = None
    known: Theta | None = None
    region: Tensor | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """Both sides of the comparison, and what the discriminator makes of a view on its way to a score.

    `features(view)` are its inner maps, first to last (see `Discriminator.features`).
    """

    real: View
    fake: View
    features: Callable[[View], Sequence[Tensor]]


@dataclass(frozen=True, eq=False, slots=True)
class RoundTrip:
    """One batch on its way through `ambientkit.round_trip`; the names are those of docs/design.md.

    `y_further`, `observed_further` are what the generator saw: `y` and `observed`, or less where
    a further measurement hid more. `completed` is `made`, composited if the recipe says so, and
    `y_fake` is `completed` measured with the fresh, independent `theta_fresh`; `known_fake` is what
    the instrument would report of it, as `known` is of y. Fidelities also find `judged`, where there
    is a discriminator that offers features, and `latent_other`, a second independent latent where the
    generator takes one.
    """

    y: Tensor
    observed: Tensor | None
    y_further: Tensor
    observed_further: Tensor | None
    made: Tensor
    completed: Tensor
    theta_fresh: Theta
    y_fake: Tensor
    observed_fake: Tensor | None
    known_fake: Theta | None = None
    known: Theta | None = None
    judged: Judged | None = None
    latent_other: Tensor | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Evaluated:
    """Held-out pictures after completion, all on the CPU in float32, in [-1, 1].

    `truth` is None where no clean version exists; metrics that need it are then absent.
    `remeasured` are the completed pictures, measured anew with a fresh theta: what a discriminator
    compares with y. `fills` (samples, n, C, H, W) are several completions of each picture, where
    the generator takes a latent.
    """

    y: Tensor
    observed: Tensor | None
    made: Tensor
    completed: Tensor
    truth: Tensor | None = None
    remeasured: Tensor | None = None
    fills: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a component may know of the run it is built for.

    `image_size` is (H, W) as the recipe says it, None where the data set decides. `image_shape`
    (C, H, W), `measured_shape` and `known_shapes` (of each thing that the instrument reports, without
    the batch axis) are known once data and sensor are built. `data_masks`, bool (N, 1, H, W), True
    where hidden, come with data that arrive measured. `facts` are what the
    other components of the recipe declare (see `Options.facts`). `nested` are the components that a
    component has in its own options (see `Options.nested`), as functions that build them.
    """

    image_size: tuple[int, int] | None = None
    image_shape: Shape | None = None
    measured_shape: Shape | None = None
    known_shapes: Mapping[str, Shape] = field(default_factory=dict)
    data_masks: Tensor | None = None
    facts: frozenset[str] = field(default_factory=frozenset)
    nested: Mapping[str, tuple[Callable[[Context], Any], ...]] = field(default_factory=dict)


# What plugins provide ---------------------------------------------------------------------------


class Measurement(Protocol):
    """A sensor `y = F(x, theta)`. A new one needs `sample` and `measure`; the rest has defaults.

    Declarations, which the engine relies on:

    - `random`: theta differs between images;
    - `exact`: observed pixels of y equal those of x bit for bit (compositing needs it);
    - `gradient`: of `measure` with respect to the images; `surrogate` (a useful one that is not the
      derivative) and `none` (no gradient, or 0) say why in `gradient_reason`;
    - `pixelwise`: a pixel of y depends on theta and on the same pixel of x alone;
    - `symmetric`: augmentations of a measured pair that keep its law, such as {"flip"};
    - `fill`: the constant that hidden pixels of y hold, None where they hold something else;
    - `fingerprint`: changes when files that the sensor reads do; "" where it reads none;
    - `parts`: the sensors that it is made of, whose code counts too when measured data are looked for.
    """

    random: bool = True
    exact: bool = False
    gradient: Literal["exact", "surrogate", "none"] = "exact"
    gradient_reason: str = ""
    pixelwise: bool = False
    symmetric: frozenset[str] = frozenset()
    fill: float | None = None
    fingerprint: str = ""
    parts: Sequence[Measurement] = ()

    def measured_shape(self, image_shape: Shape) -> Shape:
        """Shape of one measurement of one image of `image_shape` (C, H, W); any number of axes."""
        return image_shape

    @abstractmethod
    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """Draw theta for `n` images: ALL randomness, noise too, from `generator` alone.

        Returns tensors on `generator.device` whose first axis is n, as compact as can be
        (corners, not masks).
        """

    @abstractmethod
    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """F(x, theta) for a batch; deterministic, differentiable as `gradient` says."""

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor | None:
        """Bool (n, 1 or C, H, W): pixels that y shows, each at its place in the image.

        None where there is no such notion: what a projection or a spectrum lost is no set of pixels.
        """
        return None

    def known(self, theta: Theta) -> Theta | None:
        """The part of theta that the instrument reports. Never nuisance."""
        return None


class Generator(Protocol):
    """An `nn.Module` that completes measurements, or makes images from a latent.

    - `completes`: it reads `measured`; False: it makes images from a latent alone;
    - `multiple`: height and width must be multiples of it.
    """

    completes: bool = True
    multiple: int = 1

    def latent_shape(self, image_shape: Shape) -> Shape | None:
        """Shape of the latent (standard normal) for one image, None where it takes none."""
        return None

    @abstractmethod
    def forward(self, measured: Measured | None, latent: Tensor | None) -> Tensor:
        """Images (n, C, H, W) in [-1, 1]."""


class Discriminator(Protocol):
    """An `nn.Module` that scores measurements."""

    @abstractmethod
    def forward(self, view: View) -> Tensor:
        """Raw scores (n,) or (n, 1, h, w), no sigmoid; higher means more real."""

    def features(self, view: View) -> Sequence[Tensor]:
        """Inner maps, first to last, first axis n; those that offer them declare the fact `features`."""
        raise TypeError(f"{type(self).__name__} offers no features")


class Dataset(Protocol):
    """Pictures by index, or samples that arrive measured.

    - `image_shape` (C, H, W), H != W allowed; `keys`, one lasting name a picture (a relative
      path, a content hash: what theta is drawn from); `fingerprint` changes when the data do;
    - `arrives_measured`: `measured` is there instead of `images`, and no clean version exists;
    - `value_range`: of float images; uint8 ones are 0..255;
    - `skipped`: names of what could not be read and was left out.
    """

    image_shape: Shape
    keys: Sequence[str]
    fingerprint: str
    arrives_measured: bool = False
    value_range: tuple[float, float] = (-1.0, 1.0)
    skipped: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def images(self, indices: Sequence[int]) -> Tensor:
        """Clean images (n, C, H, W), uint8 or float32 in `value_range`."""
        raise TypeError(f"{type(self).__name__} has no clean images")

    def measured(self, indices: Sequence[int]) -> Measured:
        """Samples as the instrument delivered them, with what it observed and reported.

        `y` (n, ...) is uint8 (0..255 are -1..1), or float32 in the units of the recipe's sensor.
        """
        raise TypeError(f"{type(self).__name__} does not arrive measured")


class Objective(Protocol):
    """The adversarial game: what each player minimises, as named 0-d terms that are summed.

    `penalty_every`: the discriminator's `penalty_terms` are taken each so many of its updates, and
    then weigh so many times as much (lazy regularisation, Karras et al. 2020).
    """

    penalty_every: int = 1

    @abstractmethod
    def discriminator_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """Terms of the discriminator's update; `fake` carries no gradient to the generator."""

    @abstractmethod
    def generator_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """Terms of the generator's update; the discriminator's weights are frozen."""

    def penalty_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """Gradient penalties of the discriminator, added to its terms; recipes may schedule them."""
        return {}

    def after_discriminator_step(self, discriminator: nn.Module) -> None:
        """Called after each discriminator step, for weight clipping."""
        return None  # noqa: RET501 - a body, so that subclasses need not write it


class Fidelity(Protocol):
    """A term that ties the generator to what was measured; added with the recipe's `weight`."""

    @abstractmethod
    def terms(
        self,
        trip: RoundTrip,
        restore: Restore,
        measure: Callable[[Tensor, Theta], Tensor],
    ) -> Terms:
        """Named 0-d terms.

        `restore(measured)` completes another measurement with the current generator and the latent
        of this update, `restore(measured, latent)` with another; `measure(images, theta)` is the sensor.
        """


class Metric(Protocol):
    """A figure on held-out pictures: values a picture, then one summary.

    `needs_truth`, `needs_remeasured`, `needs_fills`: it looks at that part of `Evaluated`, and is
    absent where there is none.
    `resampled`: its summary of pictures drawn anew with replacement says how sure it is (bootstrap).
    """

    needs_truth: bool = False
    needs_remeasured: bool = False
    needs_fills: bool = False
    resampled: bool = True

    @abstractmethod
    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """Named tensors whose first axis is the batch; NaN where a picture has no value."""

    @abstractmethod
    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Named figures over all pictures; the first is the headline."""

    def summaries(self, values: Mapping[str, Tensor], draws: Sequence[Tensor]) -> list[dict[str, float]]:
        """The summary of the pictures at each draw's indices; for those who can do it in less time."""
        return [self.summary({name: value[draw] for name, value in values.items()}) for draw in draws]

    def score(self, summary: Mapping[str, float]) -> float:
        """How good the summary is, higher is better: what `keep_best` compares."""
        return next(iter(summary.values()))


# What callbacks are told ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run that a callback observes. `resolved` is the whole recipe with its defaults."""

    name: str
    folder: Path
    resolved: Mapping[str, Any]
    total_steps: int
    batch_size: int
    first_step: int = 0
    labels: tuple[str, ...] = ()


class StepReport(Protocol):
    """One finished step, counted from 1; nothing more is computed unless it is asked for."""

    step: int

    def terms(self) -> dict[str, float]:
        """The terms of this step, by `player/name`."""
        ...

    def samples(self, count: int) -> Evaluated:
        """The first `count` held-out pictures (training ones where none are held out), completed."""
        ...
