"""Errors against the clean picture, on the scale [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ambientkit import Evaluated, Metric
from ambientkit.errors import PluginError

from .holes import hidden_values, in_unit_range, mean_over

ROUNDED = (1 / 255) ** 2 / 12  # mean squared error of rounding to 8 bits, of pictures in [0, 1]


def decibels(error: Tensor) -> Tensor:
    """-10 log10 of mean squared errors in [0, 1], each taken for at least that of rounding to 8 bits.

    So 58.92 dB are the most: one picture that is met exactly (flat black, in digits) would else make the
    mean over all pictures infinite. NaN stays NaN.
    """
    return -10 * error.clamp(min=ROUNDED).log10()


class _Psnr(Metric):
    """PSNR = -10 log10(mean squared error), peak 1; a class says over what the error is."""

    needs_truth = True
    name = "psnr"

    def squared_error(self, evaluated: Evaluated) -> Tensor:
        """Mean squared error (n,) of each picture; NaN where it has none."""
        truth = in_unit_range(truth_of(evaluated))
        return (in_unit_range(evaluated.completed) - truth).square().flatten(1).mean(1)

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{name: dB (n,), at most 58.92; name_squared_error: (n,), as it is}; NaN where there is none."""
        error = self.squared_error(evaluated)
        return {self.name: decibels(error), f"{self.name}_squared_error": error}

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """The mean of the pictures' dB, and beside it (`_pooled`) the dB of their mean error."""
        mean = known_mean(values[self.name])
        error = torch.tensor(known_mean(values[f"{self.name}_squared_error"]))
        return {} if math.isnan(mean) else {self.name: mean, f"{self.name}_pooled": float(decibels(error))}

    def score(self, summary: Mapping[str, float]) -> float:
        """dB, higher is better; -infinity where there is no figure."""
        return summary.get(self.name, -math.inf)


class HiddenPsnr(_Psnr):
    """PSNR of `made` over each picture's hidden pixels and all channels; NaN where nothing is hidden."""

    name = "hidden_psnr"

    def squared_error(self, evaluated: Evaluated) -> Tensor:
        """Mean squared error (n,) over hidden pixels."""
        difference = in_unit_range(evaluated.made) - in_unit_range(truth_of(evaluated))
        return mean_over(difference.square(), hidden_values(evaluated))


class CompositedPsnr(_Psnr):
    """PSNR of `completed` over whole pictures: known pixels lift it (by 6.02 dB if a quarter is hidden)."""

    name = "composited_psnr"


class _L1(Metric):
    """Mean absolute error; a class says of what and where."""

    needs_truth = True
    name = "l1"

    def error(self, evaluated: Evaluated) -> Tensor:
        """Mean absolute error (n,) of each picture; NaN where it has none."""
        truth = in_unit_range(truth_of(evaluated))
        return (in_unit_range(evaluated.completed) - truth).abs().flatten(1).mean(1)

    def per_picture(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """{name: (n,)}."""
        return {self.name: self.error(evaluated)}

    def summary(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """{name}: the mean over pictures; empty where none has a value."""
        mean = known_mean(values[self.name])
        return {} if math.isnan(mean) else {self.name: mean}

    def score(self, summary: Mapping[str, float]) -> float:
        """Minus the error; -infinity where there is no figure."""
        return -summary.get(self.name, math.inf)


class HiddenL1(_L1):
    """Mean absolute error of `made` over hidden pixels and all channels; the mean over pictures."""

    name = "hidden_l1"

    def error(self, evaluated: Evaluated) -> Tensor:
        """Mean absolute error (n,) over hidden pixels; NaN where nothing is hidden."""
        difference = in_unit_range(evaluated.made) - in_unit_range(truth_of(evaluated))
        return mean_over(difference.abs(), hidden_values(evaluated))


class CompositedL1(_L1):
    """Mean absolute error of `completed` over whole pictures: known pixels lower it."""

    name = "composited_l1"


def known_mean(values: Tensor) -> float:
    """Mean of what is not NaN; NaN where nothing is."""
    return float(torch.nanmean(values.double()))


def truth_of(evaluated: Evaluated) -> Tensor:
    """The clean pictures. Raises PluginError where there are none."""
    if evaluated.truth is None:
        raise PluginError("this figure compares with clean pictures, and these data have none")
    return evaluated.truth
