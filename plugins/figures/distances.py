"""Distances between sets of pictures, and between pictures, in the features of a named network.

A figure on one network cannot be compared with one on another, nor one of few pictures with one of
many (FID): each bears the network's name, and none is the FID of papers unless it is `inception`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ambientkit import Evaluated, Metric
from ambientkit.errors import PluginError

from ..feature_networks import FeatureNetwork, unit_length
from .against_truth import known_mean, truth_of

SCALE = 1000  # KID is small; papers give it times a thousand


class _SetDistance(Metric):
    """A distance between two sets of pictures, by their pooled features; 0 where their laws are alike."""

    name = "distance"
    needs_truth = True

    def __init__(self, features: FeatureNetwork, remeasured: bool = False) -> None:
        self.features = features
        self.remeasured = remeasured
        self.needs_truth = not remeasured
        self.needs_remeasured = remeasured
        self.figure = f"{'remeasured_' if remeasured else ''}{self.name}_{features.name}"

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{"made", "real"}: features (n, D) of both sides."""
        if not self.remeasured:
            made, real = evaluated.completed, truth_of(evaluated)
        elif evaluated.remeasured is None:
            raise PluginError(f"{self.figure}: the completed pictures were not measured again")
        else:
            made, real = evaluated.remeasured, evaluated.y
        return {"made": self.features.pooled(made), "real": self.features.pooled(real)}

    def distance(self, made: Tensor, real: Tensor) -> float:
        """Between features (n, D) and (m, D), float64."""
        raise TypeError(f"{type(self).__name__} does not say how far two sets are apart")

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """{figure}, empty where there are fewer than two pictures."""
        made, real = values["made"].double(), values["real"].double()
        return {} if len(made) < 2 else {self.figure: self.distance(made, real)}

    def score(self, summary: Mapping[str, float]) -> float:
        """Minus the distance; -infinity where there is no figure."""
        return -summary.get(self.figure, math.inf)


class Kid(_SetDistance):
    """Kernel distance, times 1000: the unbiased MMD^2 of all pictures (KID, Binkowski et al. 2018, eq. 4).

    The kernel is (x.y / D + 1)^3 (sec. 3). Unlike that of FID, its expectation does not depend on how many
    pictures there are; it may be a little below 0.
    """

    name = "kid"

    def distance(self, made: Tensor, real: Tensor) -> float:
        """1000 times MMD^2."""
        return _Kernels.of(made, real).distance(*(torch.ones(len(each)).double() for each in (made, real)))

    def summaries(self, values: Mapping[str, Tensor], draws: Sequence[Tensor]) -> list[dict[str, float]]:
        """{figure} of each draw: all have the kernel's values in common, and weigh them differently."""
        made, real = values["made"].double(), values["real"].double()
        if len(made) < 2:
            return [{} for _ in draws]
        kernels = _Kernels.of(made, real)
        times = [torch.bincount(draw, minlength=len(made)).double() for draw in draws]
        return [{self.figure: kernels.distance(each, each)} for each in times]


@dataclass(frozen=True)
class _Kernels:
    """The kernel's values of all pairs, within the two sets and between them."""

    made: Tensor
    real: Tensor
    between: Tensor

    @classmethod
    def of(cls, made: Tensor, real: Tensor) -> _Kernels:
        """Of features (n, D) and (m, D)."""
        return cls(*(_kernel(*pair) for pair in ((made, made), (real, real), (made, real))))

    def distance(self, made: Tensor, real: Tensor) -> float:
        """1000 times MMD^2 where each picture stands so many times (n,), (m,) in its set."""
        within = _mean_of_others(self.made, made) + _mean_of_others(self.real, real)
        return SCALE * float(within - 2 * made @ self.between @ real / (made.sum() * real.sum()))


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    return (one @ other.T / one.shape[1] + 1) ** 3


def _mean_of_others(kernel: Tensor, times: Tensor) -> Tensor:
    """Mean over all pairs but those of a place with itself; a picture may stand at several places."""
    places = times.sum()
    return (times @ kernel @ times - times @ kernel.diagonal()) / (places * (places - 1))


class Fid(_SetDistance):
    """Fréchet distance of the Gaussians with the features' means and covariances (Heusel et al. 2017, eq. 6).

    It falls with the number of pictures, so only figures of equally many can be compared, and pictures drawn
    anew with replacement say nothing of how sure it is.
    """

    name = "fid"
    resampled = False

    def distance(self, made: Tensor, real: Tensor) -> float:
        """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))."""
        apart = (made.mean(0) - real.mean(0)).square().sum()
        one, other = torch.cov(made.T), torch.cov(real.T)
        return float(apart + one.trace() + other.trace() - 2 * _trace_of_root(one, other))


def _trace_of_root(one: Tensor, other: Tensor) -> Tensor:
    """tr((A B)^(1/2)) = tr((A^(1/2) B A^(1/2))^(1/2)), whose eigenvalues are real and not negative."""
    values, vectors = torch.linalg.eigh(one)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    eigenvalues: Tensor = torch.linalg.eigvalsh(root @ other @ root)
    return eigenvalues.clamp(min=0).sqrt().sum()


class Perceptual(Metric):
    """Squared distance of inner maps whose channels have unit length, averaged over places and layers.

    As LPIPS has it (Zhang et al. 2018, eq. 1) with all channel weights 1, on another network: not the
    LPIPS of papers.
    """

    needs_truth = True

    def __init__(self, features: FeatureNetwork) -> None:
        self.features = features
        self.figure = f"perceptual_{features.name}"

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{figure: (n,)}, of whole completed pictures."""
        sides = (self.features.looked_at(each) for each in (evaluated.completed, truth_of(evaluated)))
        apart = (_apart(*maps) for maps in zip(*sides, strict=True))
        return {self.figure: torch.stack(list(apart)).mean(0)}

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """{figure}: the mean over pictures."""
        return {self.figure: known_mean(values[self.figure])}

    def score(self, summary: Mapping[str, float]) -> float:
        """Minus the distance."""
        return -summary.get(self.figure, math.inf)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared distance over places of maps (n, C, h, w), each place's channels of unit length: (n,)."""
    a, b = unit_length([one, other])
    return (a - b).square().sum(1).mean((1, 2))
