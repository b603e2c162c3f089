"""Structural similarity with the clean picture (Wang, Bovik, Sheikh and Simoncelli 2004)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit import Evaluated, Metric
from ambientkit.errors import PluginError

from .against_truth import known_mean, truth_of
from .holes import hidden_values, in_unit_range, mean_over

WINDOW, SIGMA = 11, 1.5  # the paper's Gaussian window, sec. III-B
C1, C2 = 0.01**2, 0.03**2  # of pictures in [0, 1]


SMALLEST = WINDOW // 2 + 1  # side of a picture whose border can be mirrored


def require_room(shape: Sequence[int]) -> None:
    """Raises PluginError where pictures (..., H, W) are too small for the window."""
    height, width = shape[-2:]
    if min(height, width) < SMALLEST:
        raise PluginError(
            f"pictures of {height}x{width} are too small for its window of {WINDOW} pixels: they need "
            f"{SMALLEST} or more a side; take another figure, such as composited_l1"
        )


def ssim_map(one: Tensor, other: Tensor) -> Tensor:
    """SSIM (n, C, H, W) of pictures in [0, 1] at every place (eq. 13); borders are mirrored."""
    mean_one, mean_other = _blurred(one), _blurred(other)
    variance_one = _blurred(one.square()) - mean_one.square()
    variance_other = _blurred(other.square()) - mean_other.square()
    covariance = _blurred(one * other) - mean_one * mean_other
    above = (2 * mean_one * mean_other + C1) * (2 * covariance + C2)
    return above / ((mean_one.square() + mean_other.square() + C1) * (variance_one + variance_other + C2))


def _blurred(pictures: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=pictures.dtype) - WINDOW // 2
    weights = torch.exp(-places.square() / (2 * SIGMA**2))
    row = (weights / weights.sum()).view(1, 1, 1, -1)
    flat = pictures.flatten(0, 1)[:, None]
    margin = WINDOW // 2
    padded = functional.pad(flat, (margin, margin, margin, margin), mode="reflect")
    blurred = functional.conv2d(functional.conv2d(padded, row), row.transpose(2, 3))
    return blurred.view(pictures.shape)


class _Ssim(Metric):
    needs_truth = True
    name = "ssim"

    def over(self, evaluated: Evaluated) -> Tensor:
        """Bool (n, C, H, W): where the map is averaged."""
        return torch.ones_like(evaluated.completed, dtype=torch.bool)

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{name: (n,)}, NaN where there is nothing to average. Raises PluginError for small pictures."""
        require_room(evaluated.completed.shape)
        pictures = in_unit_range(evaluated.completed), in_unit_range(truth_of(evaluated))
        similar = ssim_map(*(each.double() for each in pictures))
        return {self.name: mean_over(similar, self.over(evaluated))}

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """{name}: the mean over pictures; empty where none has a value."""
        mean = known_mean(values[self.name])
        return {} if math.isnan(mean) else {self.name: mean}

    def score(self, summary: Mapping[str, float]) -> float:
        """The similarity, at most 1; -infinity where there is no figure."""
        return summary.get(self.name, -math.inf)


class HiddenSsim(_Ssim):
    """The SSIM map of completed pictures, averaged over hidden pixels; a window reaches 5 px further."""

    name = "hidden_ssim"

    def over(self, evaluated: Evaluated) -> Tensor:
        """The hidden pixels."""
        return hidden_values(evaluated)


class CompositedSsim(_Ssim):
    """The SSIM map of completed pictures, averaged over all of them: known pixels lift it."""

    name = "composited_ssim"
