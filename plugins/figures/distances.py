"""Distances between sets of pictures, and between pictures, in the features of a named network.

A figure on one network cannot be compared with one on another, nor one of few pictures with one of
many (FID): each bears the network's name, and none is the FID of papers unless it is `inception`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
    """Kernel distance, times 1000 (KID, Binkowski et al. 2018): the unbiased MMD^2 of pairs (x_i, y_i).

    The kernel is (x.y / D + 1)^3 (sec. 3). A completed picture and its clean version are alike, so pairs of a
    place with itself are left out of all three means (Gretton et al. 2012, lemma 6 with eq. 4, whose x_i and
    y_i may depend on each other). The expectation does not depend on how many pictures there are, unlike
    that of FID, and is 0 where both laws are one; the figure may be a little below 0.
    """

    name = "kid"

    def distance(self, made: Tensor, real: Tensor) -> float:
        """1000 times MMD^2, of as many on either side."""
        return _mean_of_others(_kernels(made, real), torch.ones(len(made)).double())

    def summaries(self, values: Mapping[str, Tensor], draws: Sequence[Tensor]) -> list[dict[str, float]]:
        """{figure} of each draw: all have the kernel's values in common, and weigh them differently."""
        made, real = values["made"].double(), values["real"].double()
        if len(made) < 2:
            return [{} for _ in draws]
        kernels = _kernels(made, real)
        times = [torch.bincount(draw, minlength=len(made)).double() for draw in draws]
        return [{self.figure: _mean_of_others(kernels, each)} for each in times]


def _kernels(made: Tensor, real: Tensor) -> Tensor:
    """h (n, n) = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), of features (n, D)."""
    between = _kernel(made, real)
    return _kernel(made, made) + _kernel(real, real) - between - between.T


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    return (one @ other.T / one.shape[1] + 1) ** 3


def _mean_of_others(kernels: Tensor, times: Tensor) -> float:
    """1000 times the mean over pairs of two places, where each picture stands at so many `times` (n,)."""
    places = times.sum()
    return SCALE * float((times @ kernels @ times - times @ kernels.diagonal()) / (places * (places - 1)))


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
        one, other = _factor(made), _factor(real)
        common: Tensor = torch.linalg.svdvals(one @ other.T).sum()
        return float(apart + one.square().sum() + other.square().sum() - 2 * common)


def _factor(features: Tensor) -> Tensor:
    """R (min(n, D), D) with the covariance R^T R.

    Of two, C1 C2 has the eigenvalues of M M^T, M = R1 R2^T, so that tr((C1 C2)^(1/2)) is the sum of the
    singular values of M: no root is taken of a matrix, and few pictures make a small one.
    """
    factor: Tensor = torch.linalg.qr((features - features.mean(0)) / math.sqrt(len(features) - 1), mode="r").R
    return factor


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
